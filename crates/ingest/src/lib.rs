//! Receivers of client protocols, limits and normalisation in front of a sink.
