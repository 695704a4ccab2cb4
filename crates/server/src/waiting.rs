//! Waiting for an answer at a terminal: after a second, how far the question is.

use crate::client::ServerArgs;
use anyhow::Result;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::pin::pin;
use std::time::Duration;
use stdx::Rng;

/// A question that is answered before is not worth a word.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// Asks; parameters without a value are left out. On a terminal it tells how far the answer is.
/// Ctrl-C ends the program and with it the question.
pub(crate) async fn get(
    server: &ServerArgs,
    path: &str,
    parameters: &[(&str, Option<&str>)],
) -> Result<Value> {
    if !std::io::stderr().is_terminal() {
        return server.get(path, parameters).await;
    }
    let id = format!("cli-{:016x}", Rng::from_entropy().next_u64());
    let mut asking = pin!(server.get_as(Some(&id), path, parameters));
    let (mut wait, mut is_shown) = (SHOWN_AFTER, false);
    let answer = loop {
        tokio::select! {
            answer = asking.as_mut() => break answer,
            () = tokio::time::sleep(wait) => {}
        }
        wait = SHOWN_EVERY;
        // A server that does not tell is waited for without.
        let running = server.get("/api/v1/queries", &[]).await.unwrap_or_default();
        if let Some(text) = progress(&running, &id) {
            show(&text);
            is_shown = true;
        }
    };
    if is_shown {
        show("");
    }
    answer
}

/// How far a question is, in words.
fn progress(running: &Value, id: &str) -> Option<String> {
    let running = running["queries"].as_array()?;
    let own = running.iter().find(|one| one["id"] == id)?;
    let number = |name: &str| own[name].as_u64().unwrap_or(0);
    let (read, all) = (number("rows_read"), number("rows_to_read"));
    let seconds = number("running_ms") / 1000;
    if all == 0 {
        return Some(format!("waiting for {seconds} s"));
    }
    let percent = u128::from(read) * 100 / u128::from(all);
    Some(format!("{read} of {all} samples looked through ({percent} %), {seconds} s"))
}

/// Puts a text in the place of the one before.
fn show(text: &str) {
    // Nobody reads standard error: nothing to do about it.
    let _ = write!(std::io::stderr(), "\r\x1b[K{text}");
    let _ = std::io::stderr().flush();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_own_question_is_told_of() {
        let one = |id: &str, read: u64, all: u64| {
            let mut one = json!({"id": id, "rows_read": read, "rows_to_read": all});
            one["running_ms"] = json!(2500);
            one
        };
        let running = json!({"queries": [one("a", 1, 2), one("b", 30, 90), one("c", 0, 0)]});
        let text = progress(&running, "b").unwrap();
        assert_eq!(text, "30 of 90 samples looked through (33 %), 2 s");
        assert_eq!(progress(&running, "c").unwrap(), "waiting for 2 s");
        assert_eq!(progress(&running, "d"), None);
        assert_eq!(progress(&Value::Null, "d"), None);
    }
}
