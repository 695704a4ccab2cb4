//! The real binary on free loopback ports: uploads, questions, principals, damage, crashes.

mod harness;

mod auth;
mod crash;
mod damage;
mod settings;
mod uploads;
