//! What the clients of Datadog have in common: they are told of the server in the environment, and
//! send its tags with each profile.

use super::expect::Expect;
use super::stage::Stage;
use std::process::Command;

/// The tags of [`environment`].
pub(super) const TAGS: &[Expect] = &[
    Expect::Label("env", "test"),
    Expect::Label("version", "1.0"),
    Expect::Label("team", "books"),
    Expect::Label("instance", ""),
];

/// What its libraries of all languages read.
pub(super) fn environment(program: &mut Command, stage: &Stage<'_>) {
    program.env("DD_TRACE_AGENT_URL", &stage.addresses.datadog);
    program.envs([
        ("DD_SERVICE", stage.name),
        ("DD_ENV", "test"),
        ("DD_VERSION", "1.0"),
        ("DD_TAGS", "team:books"),
        ("DD_PROFILING_ENABLED", "true"),
    ]);
}
