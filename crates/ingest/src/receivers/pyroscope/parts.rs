//! Multipart bodies of `/ingest`: which part holds the profile.

use crate::limits::{ISSUE_BYTES_MAX, PARTS_MAX};
use crate::normalise::bounded;
use crate::notes::Notes;
use crate::problem::Problem;
use bytes::Bytes;

/// A multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    boundary: String,
    /// The part that holds the profile.
    wanted: &'static str,
    /// `mutex` or `block` where the client says so: Go's two contention profiles look the same.
    pub(super) family: &'static str,
    /// Names of functions hold their files and lines, as @pyroscope/nodejs writes them.
    pub(super) names_hold_places: bool,
    /// The table of dynamic labels beside a recording.
    pub(super) labels: Bytes,
}

/// The part that holds a recording of Java's.
pub(super) const RECORDING: &str = "jfr";
/// Bytes of a description of sample types; longer ones are none.
const CONFIG_BYTES_MAX: usize = 64 << 10;

/// Which of Go's contention profiles a description of sample types is of.
fn family(config: &[u8]) -> &'static str {
    let config = config.get(..CONFIG_BYTES_MAX.min(config.len())).unwrap_or_default();
    let has = |name: &[u8]| config.windows(name.len()).any(|part| part == name);
    match (has(b"\"mutex_count\"") || has(b"\"mutex_duration\""), has(b"\"block_")) {
        (true, false) => "mutex",
        (false, true) => "block",
        _ => "",
    }
}

impl Parts {
    /// Of a content type; `None` when it is not multipart or names no boundary.
    pub(super) fn of(content_type: &str, wanted: &'static str) -> Option<Self> {
        let is_multipart = content_type.to_ascii_lowercase().contains("multipart/form-data");
        let boundary = is_multipart.then(|| multer::parse_boundary(content_type).ok()).flatten()?;
        let labels = Bytes::new();
        Some(Self { boundary, wanted, family: "", names_hold_places: false, labels })
    }

    /// The profile's file.
    pub(super) async fn profile(
        &mut self,
        body: Bytes,
        notes: &mut Notes,
    ) -> Result<Bytes, Problem> {
        let wanted = self.wanted;
        let unreadable = |error: multer::Error| {
            let hint = format!("send multipart/form-data with a part named `{wanted}`");
            Problem::bad_request(format!("the multipart body could not be read: {error}"), hint)
        };
        let stream = futures::stream::once(async move { Ok::<_, std::convert::Infallible>(body) });
        let mut parts = multer::Multipart::new(stream, &self.boundary);
        let mut found = None;
        let mut count = 0;
        while let Some(part) = parts.next_field().await.map_err(unreadable)? {
            count += 1;
            if count > PARTS_MAX {
                let detail = format!("the multipart body has more than {PARTS_MAX} parts");
                let hint = format!("send one part named `{wanted}`");
                return Err(Problem::bad_request(detail, hint));
            }
            let name = part.name().unwrap_or_default().to_owned();
            match name.as_str() {
                name if name == wanted && found.is_none() => {
                    found = Some(part.bytes().await.map_err(unreadable)?);
                }
                "sample_type_config" => {
                    self.family = family(&part.bytes().await.map_err(unreadable)?);
                }
                "labels" if wanted == RECORDING => {
                    self.labels = part.bytes().await.map_err(unreadable)?;
                }
                "prev_profile" => notes
                    .add(|| "prev_profile is not used: values are taken as they are".to_owned()),
                other => {
                    let name = bounded(other, ISSUE_BYTES_MAX);
                    notes.add(|| format!("part {name:?} is not used"));
                }
            }
        }
        found.ok_or_else(|| {
            let detail = format!("the multipart body has no part named `{wanted}`");
            let hint = format!("name the part that holds the profile `{wanted}`");
            Problem::bad_request(detail, hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(wanted: &'static str) -> Parts {
        Parts::of("multipart/form-data; boundary=x", wanted).unwrap()
    }

    /// Bodies damaged in one to four places give a part or a refusal, each.
    async fn damage_is_survived(body: &str) {
        let mut rng = stdx::Rng::seeded(3);
        for _ in 0..3000 {
            let mut bytes = body.as_bytes().to_vec();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bytes.len() as u64) as usize;
                match rng.below(3) {
                    0 => bytes[at] = rng.next_u64() as u8,
                    1 => drop(bytes.splice(at..at, *b"\r\n--x")),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            let mut notes = Notes::default();
            let part = parts("profile").profile(bytes.into(), &mut notes).await;
            assert!(part.map_or_else(|problem| problem.detail.len(), |part| part.len()) < 1000);
            assert!(notes.count() <= PARTS_MAX);
        }
    }

    #[tokio::test]
    async fn the_description_tells_gos_contention_profiles_apart() {
        let of = async |config: &str| {
            let body = format!(
                "--x\r\nContent-Disposition: form-data; name=\"profile\"\r\n\r\np\r\n--x\r\n\
                 Content-Disposition: form-data; name=\"sample_type_config\"\r\n\r\n{config}\r\n\
                 --x--\r\n"
            );
            let mut parts = parts("profile");
            parts.profile(body.into(), &mut Notes::default()).await.unwrap();
            parts.family
        };
        let config = r#"{"contentions":{"units":"lock_samples","display-name":"NAME"}}"#;
        assert_eq!(of(&config.replace("NAME", "mutex_count")).await, "mutex");
        assert_eq!(of(&config.replace("NAME", "block_count")).await, "block");
        assert_eq!(of("{}").await, "");
    }

    #[tokio::test]
    async fn the_labels_beside_a_recording_are_kept() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"labels\"\r\n\r\ntable\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"jfr\"; filename=\"jfr\"\r\n\r\n\
                    recording\r\n--x--\r\n";
        let (mut parts, mut notes) = (parts("jfr"), Notes::default());
        let part = parts.profile(Bytes::from(body), &mut notes).await.unwrap();
        assert_eq!((&part[..], &parts.labels[..]), (&b"recording"[..], &b"table"[..]));
        assert_eq!(notes.count(), 0);
    }

    #[tokio::test]
    async fn parts_that_are_not_used_are_named() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"prev_profile\"\r\n\r\nold\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p\"\r\n\r\n\
                    new\r\n--x--\r\n";
        let mut notes = Notes::default();
        let part = parts("profile").profile(Bytes::from(body), &mut notes).await.unwrap();
        assert_eq!(&part[..], b"new");
        assert_eq!(notes.count(), 1);
        let none = parts("jfr").profile(Bytes::from(body), &mut notes).await;
        assert!(none.unwrap_err().detail.contains("no part named `jfr`"));
        let empty = parts("profile").profile(Bytes::from("--x--\r\n"), &mut notes).await;
        assert!(empty.unwrap_err().detail.contains("no part named"));
        damage_is_survived(body).await;
        let part = "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n";
        let many = Bytes::from(part.repeat(100_000) + "--x--\r\n");
        let many = parts("profile").profile(many, &mut notes).await;
        assert!(many.unwrap_err().detail.contains("more than 16 parts"));
    }
}
