"""OpenAI's API, as far as this server can do it; the rest is refused, never ignored.

app.py           the routes, the error handlers and the gate as one application
connection.py    one HTTP connection, with deadlines for slow clients
gate.py          what every API request passes first and last: key, drain, admission, metrics, log line
admission.py     which requests may enter, and how much memory their bodies may take
errors.py        errors in OpenAI's form
dependencies.py  what the routes take from the application
limits.py        whether the model can take a prompt and the tokens asked for
streaming.py     from checked requests to answers, complete or as server-sent events
schemas/         the bodies of requests
routes/          the endpoints
"""
