"""OpenAI's API, as far as this server can do it; the rest is refused, never ignored.

- `app`: the routes, the error handlers and the gate as one application
- `connection`: one HTTP connection, with deadlines for slow clients
- `gate`: what every API request passes first and last: key, drain, admission, metrics, log line
- `admission`: which requests may enter, and how much memory their bodies may take
- `errors`: errors in OpenAI's form
- `dependencies`: what the routes take from the application
- `limits`: whether the model can take a prompt and the tokens asked for
- `streaming`: from checked requests to answers, complete or as server-sent events
- `schemas/`: the bodies of requests
- `routes/`: the endpoints
"""
