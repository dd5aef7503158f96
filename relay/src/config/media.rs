//! `[media]`: where files are kept that plugins capture, how large they may be, and for how long.

use std::time::Duration;

use super::MediaSettings;
use super::reader::Section;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Nobody keeps a file for less, or for more.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = DAY.saturating_mul(3650);
/// A file is held in memory while it is captured.
const FILE_BYTES_MAX: usize = 64 << 20;

/// Reads the section; without one files are kept as is usual.
pub(super) fn read(section: Option<Section<'_>>) -> MediaSettings {
    let mut media = MediaSettings {
        folder: None,
        file_bytes_max: 16 << 20,
        ttl: DAY * 30,
        ttl_max: DAY * 90,
        tenant_bytes_max: 1 << 30,
        bytes_max: 10 << 30,
    };
    let Some(section) = section else { return media };
    media.folder = section.string("folder").map(Into::into);
    let file_limit = section.bytes("file_limit", 1..=FILE_BYTES_MAX);
    media.file_bytes_max = file_limit.unwrap_or(media.file_bytes_max);
    media.ttl_max = section
        .duration("ttl_max", TTL_MIN..=TTL_MAX)
        .unwrap_or(media.ttl_max);
    let ttl = section.duration("ttl", TTL_MIN..=TTL_MAX);
    if ttl.is_some_and(|ttl| ttl > media.ttl_max) {
        let remedy = "choose a shorter one, or a longer media.ttl_max";
        section.fault("ttl", "is longer than a file is kept at most", remedy);
    }
    media.ttl = ttl.unwrap_or_else(|| media.ttl.min(media.ttl_max));
    for (key, slot) in [
        ("tenant_limit", &mut media.tenant_bytes_max),
        ("limit", &mut media.bytes_max),
    ] {
        let given = section.bytes(key, 0..=usize::MAX);
        *slot = given.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(*slot);
    }
    section.finish();
    media
}

#[cfg(test)]
mod tests {
    use super::super::load;
    use super::super::tests::{Nowhere, faults};
    use super::*;

    fn media(text: &str) -> MediaSettings {
        let config = load(&format!("[media]\n{text}"), &Nowhere);
        config.expect(text).media
    }

    #[test]
    fn what_is_not_said_is_as_usual_and_never_longer_than_at_most() {
        let usual = media("");
        assert_eq!((usual.ttl, usual.ttl_max), (DAY * 30, DAY * 90));
        let short = media("ttl_max = \"1d\"\nlimit = \"1MiB\"\ntenant_limit = 0");
        assert_eq!((short.ttl, short.ttl_max), (DAY, DAY));
        assert_eq!((short.bytes_max, short.tenant_bytes_max), (1 << 20, 0));
    }

    #[test]
    fn what_cannot_be_is_told_with_what_to_do() {
        for (text, fault) in [
            ("ttl = \"91d\"", "choose a shorter one"),
            ("ttl = \"0s\"", "media.ttl"),
            ("file_limit = \"65MiB\"", "media.file_limit"),
            ("colour = 1", "not a known key"),
        ] {
            let told = faults(&format!("[media]\n{text}")).join("\n");
            assert!(told.contains(fault), "{text}: {told}");
        }
    }
}
