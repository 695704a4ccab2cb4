//! Our HTTP API: JSON, Arrow flame graphs, OpenAPI, principals.
