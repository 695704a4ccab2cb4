//! gRPC services and clients.
