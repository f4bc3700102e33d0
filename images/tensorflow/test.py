import tensorflow as tf

tf.random.set_seed(0)
inputs = tf.random.normal((64, 8))
targets = tf.reduce_sum(inputs, axis=1, keepdims=True)
weights = tf.Variable(tf.zeros((8, 1)))
losses = []
for _ in range(2):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((inputs @ weights - targets) ** 2)
    weights.assign_sub(0.1 * tape.gradient(loss, weights))
    losses.append(float(loss))
print("TensorFlow", tf.__version__, "losses", losses)
assert losses[1] < losses[0]
assert not tf.config.list_physical_devices("GPU")
