//! The generated load is the one whose figures stand beside those of other servers.

use crate::pprof;
use profile::Profile;
use testkit::load::Load;

#[test]
fn uploads_are_as_large_as_those_that_other_servers_were_measured_with() {
    let load = Load { services: 3, ..Load::as_compared(20_000) };
    let profiles: Vec<Profile> = load.profiles().take(24).collect();
    let mean = |encode: fn(&Profile) -> Vec<u8>| {
        profiles.iter().map(|one| encode(one).len()).sum::<usize>() / profiles.len()
    };
    let (plain, packed) = (mean(pprof::encode), mean(pprof::encode_gzip));
    assert!((235_000..270_000).contains(&plain), "{plain} bytes");
    assert!((72_000..83_000).contains(&packed), "{packed} bytes compressed");
}
