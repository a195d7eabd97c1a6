"""Workers on one RabbitMQ queue: millrace's, other libraries', and a bare client's, each in a process of its own.

Every module offers `sample(url, queue, payload)`, which puts one message as its library does; `produce(url, queue,
payloads)`, which puts many, confirmed; and `consume(url, queue, seen, settings)`, which runs one worker until all was
seen, each message acknowledged after its handler. Handlers do nothing but note what they were given.
"""
