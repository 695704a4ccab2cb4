//! Generators and fault injection for tests.
