"""Trains a small network on scikit-learn's digits, each node on its part of them; `torchrun` starts it."""

import mlplat
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

dist.init_process_group("gloo")
rank, size = dist.get_rank(), dist.get_world_size()
print(f"rank {rank} of {size}", flush=True)
torch.manual_seed(rank)
digits = load_digits()
images, labels = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
train, test = TensorDataset(images[:1400], labels[:1400]), (images[1400:], labels[1400:])
sampler = DistributedSampler(train, shuffle=True)
model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
print(f"training on {size} nodes", flush=True)
for epoch in range(20):
    sampler.set_epoch(epoch)
    for batch, wanted in DataLoader(train, batch_size=64, sampler=sampler):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(batch), wanted)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(test[0]).argmax(1) == test[1]).float().mean().item()
    if rank == 0:
        mlplat.log(step=epoch, loss=loss.item(), accuracy=accuracy)
print("weights", round(sum(weight.double().sum().item() for weight in model.parameters()), 6), flush=True)
dist.destroy_process_group()
