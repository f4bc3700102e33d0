import torch

torch.manual_seed(0)
device = "cuda" if torch.cuda.is_available() else "cpu"
inputs = torch.randn(64, 8, device=device)
targets = inputs.sum(dim=1, keepdim=True)
model = torch.nn.Linear(8, 1, device=device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(2):
    loss = torch.nn.functional.mse_loss(model(inputs), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print("PyTorch", torch.__version__, "CUDA", torch.version.cuda, "on", device, "losses", losses)
assert losses[1] < losses[0]
assert torch.version.cuda.startswith("13.")
