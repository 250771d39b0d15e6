"""HTTP server: application, middleware, plugins, CORS, admin API, process."""
