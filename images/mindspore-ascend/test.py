import mindspore as ms
import numpy as np
from mindspore import nn, ops

ms.set_seed(0)
inputs = ms.Tensor(np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32))
targets = inputs.sum(axis=1, keepdims=True)
model = nn.Dense(8, 1)
optimizer = nn.SGD(model.trainable_params(), learning_rate=0.1)
step = ms.value_and_grad(lambda x, y: ops.mse_loss(model(x), y), None, optimizer.parameters)
losses = []
for _ in range(2):
    loss, gradients = step(inputs, targets)
    optimizer(gradients)
    losses.append(float(loss))
print("MindSpore", ms.__version__, "losses", losses)
assert losses[1] < losses[0]
assert ms.get_context("device_target") == "CPU"
