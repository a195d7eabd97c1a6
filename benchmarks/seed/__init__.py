"""An image service by hand, in the design that blogs publish, and millrace in its place on the same queue.

By hand: Flask packs each posted image into a protobuf message and publishes it over its one connection before it
answers, nothing confirmed; a consumer with prefetch 1 posts each image over a new connection to an HTTP model server,
and acknowledges. The queue is durable and keeps messages ten minutes.
"""
