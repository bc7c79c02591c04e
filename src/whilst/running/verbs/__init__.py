"""The verbs: what a user calls to have calls made, blocking (`api`) and on a running event loop (`awaitable`)."""
