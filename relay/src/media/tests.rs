use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::clock::ManualClock;
use crate::model::audit::By;
use crate::store::memory::MemoryStore;

/// A keeper with a folder of its own.
struct Kit {
    keeper: Keeper,
    clock: ManualClock,
    folder: TempDir,
}

impl Kit {
    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings {
            folder: Some(Folder::new(folder.path().join("media"))),
            public_url: Some("https://hooks.example.com".parse().unwrap()),
            file_bytes_max: 100,
            ttl: Duration::from_secs(60),
            ttl_max: Duration::from_secs(600),
            room: MediaRoom {
                tenant_bytes_max: 2 * store::MEDIA_BYTES_MIN,
                bytes_max: 3 * store::MEDIA_BYTES_MIN,
            },
        };
        change(&mut settings);
        let clock = ManualClock::starting_at(Timestamp::from_millis(1_770_000_000_500));
        let store = Arc::new(MemoryStore::default());
        Self {
            keeper: Keeper::new(settings, store, Arc::new(clock.clone())),
            clock,
            folder,
        }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    async fn keep(&self, bytes: &'static str) -> Result<Kept, MediaError> {
        self.keeper.keep(TenantId::DEFAULT, file(bytes)).await
    }

    /// The names in the folder.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("media")) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    async fn listed(&self) -> Vec<MediaFile> {
        let page = Page {
            limit: 10,
            before: None,
        };
        self.keeper.files(TenantId::DEFAULT, page).await.unwrap().items
    }
}

fn file(bytes: &'static str) -> File {
    File {
        bytes: Bytes::from_static(bytes.as_bytes()),
        content_type: "Image/JPEG; q=1".to_owned(),
        ttl: None,
    }
}

#[tokio::test]
async fn the_same_bytes_are_one_file_whose_address_holds() {
    let kit = Kit::new();
    let one = kit.keep("one").await.unwrap();
    let again = kit.keep("one").await.unwrap();
    assert_eq!(one, again);
    assert_eq!(one.expires, Timestamp::from_millis(1_770_000_060_000));
    let [kept] = kit.listed().await.try_into().unwrap();
    assert_eq!(
        (kept.content_type.as_str(), kept.bytes, one.size),
        ("image/jpeg", 3, 3)
    );
    assert_eq!(kit.files(), [kept.id.to_string()]);
    let (_, signature) = one.url.split_once("signature=").unwrap();
    let expires = one.expires.as_secs();
    assert!(kit.keeper.is_genuine(kept.id, expires, signature).await.unwrap());
    assert!(
        !kit.keeper
            .is_genuine(kept.id, expires + 1, signature)
            .await
            .unwrap()
    );
    assert!(kit.keeper.open(&kept).await.unwrap().is_some());
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_with_why_and_leaves_nothing() {
    let nowhere = Kit::with(|settings| settings.folder = None);
    let unknown = Kit::with(|settings| settings.public_url = None);
    for (kit, key) in [(nowhere, "media.folder"), (unknown, "server.public_url")] {
        let Err(MediaError::Denied(why)) = kit.keep("one").await else {
            panic!("it was kept");
        };
        assert!(why.contains(key), "{why}");
    }
    let kit = Kit::with(|settings| settings.file_bytes_max = 2);
    assert_eq!(kit.keep("one").await, Err(MediaError::TooLarge(2)));
    let kit = Kit::new();
    kit.keep("one").await.unwrap();
    kit.keep("two").await.unwrap();
    assert_eq!(kit.keep("three").await, Err(MediaError::QuotaExceeded));
    assert_eq!(kit.files().len(), 2);
}

#[tokio::test]
async fn a_file_is_kept_for_as_long_as_was_asked_within_bounds() {
    let kit = Kit::new();
    for (asked, seconds) in [(None, 60), (Some(5), 5), (Some(0), 1), (Some(6000), 600)] {
        let file = File {
            ttl: asked.map(Duration::from_secs),
            ..file("one")
        };
        let kept = kit.keeper.keep(TenantId::DEFAULT, file).await.unwrap();
        let expected = Timestamp::from_millis(1_770_000_000_000) + Duration::from_secs(seconds);
        assert_eq!(kept.expires, expected, "{asked:?}");
    }
    // It stays until the last of its addresses expires.
    assert_eq!(kit.listed().await[0].expires_at.as_millis(), 1_770_000_600_000);
}

#[tokio::test]
async fn what_is_over_goes_from_the_disk_and_makes_room() {
    let kit = Kit::new();
    kit.keep("one").await.unwrap();
    kit.keep("two").await.unwrap();
    kit.clock.advance(Duration::from_secs(59));
    assert_eq!(kit.keeper.sweep().await.unwrap(), 0);
    assert_eq!(kit.files().len(), 2);
    // Nobody ends anything by setting the clock.
    kit.clock.set_forward_ms(3_600_000);
    assert_eq!(kit.keeper.sweep().await.unwrap(), 0);
    kit.clock.set_forward_ms(-3_600_000);
    kit.clock.advance(Duration::from_secs(1));
    assert_eq!(kit.keeper.sweep().await.unwrap(), 2);
    assert_eq!(kit.files(), Vec::<String>::new());
    assert_eq!(kit.listed().await, []);
    kit.keep("three").await.unwrap();
}

#[tokio::test]
async fn what_a_crash_left_half_written_is_removed() {
    let kit = Kit::new();
    let wanted = kit
        .keeper
        .wanted(TenantId::DEFAULT, &file("one"), kit.clock.now());
    let now = kit.clock.now();
    let reserved =
        kit.keeper
            .store
            .reserve_media(wanted.clone(), kit.keeper.settings.room, now + WRITE_MAX, now);
    assert_eq!(reserved.await.unwrap(), MediaReserved::Room);
    let folder = kit.folder.path().join("media");
    std::fs::create_dir_all(&folder).unwrap();
    for name in [wanted.id.to_string(), format!("{}.part", wanted.id)] {
        std::fs::write(folder.join(name), "on").unwrap();
    }
    assert_eq!(kit.keeper.sweep().await.unwrap(), 0);
    kit.clock.advance(WRITE_MAX);
    assert_eq!(kit.keeper.sweep().await.unwrap(), 1);
    assert_eq!(kit.files(), Vec::<String>::new());
}

#[tokio::test]
async fn bytes_that_somebody_removed_are_written_again() {
    let kit = Kit::new();
    kit.keep("one").await.unwrap();
    let [kept] = kit.listed().await.try_into().unwrap();
    let path = kit.folder.path().join("media").join(kept.id.to_string());
    for damage in [None, Some("o")] {
        std::fs::remove_file(&path).unwrap();
        if let Some(bytes) = damage {
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(kit.keeper.open(&kept).await.unwrap().is_none());
        kit.keep("one").await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_takes_no_room() {
    let kit = Kit::new();
    std::fs::write(kit.folder.path().join("media"), "in the way").unwrap();
    for bytes in ["one", "two", "three"] {
        let refused = kit.keep(bytes).await;
        assert!(matches!(refused, Err(MediaError::Unavailable(_))), "{refused:?}");
    }
    std::fs::remove_file(kit.folder.path().join("media")).unwrap();
    kit.keeper.sweep().await.unwrap();
    kit.keep("one").await.unwrap();
}

#[tokio::test]
async fn a_file_is_removed_for_its_tenant_alone() {
    let kit = Kit::new();
    kit.keep("one").await.unwrap();
    let [kept] = kit.listed().await.try_into().unwrap();
    let remove = |tenant| {
        let deed = Deed::new(tenant, kit.clock.now(), By::OPERATOR, "media.deleted");
        kit.keeper.remove(tenant, kept.id, deed)
    };
    assert!(!remove(TenantId::from_raw(2)).await.unwrap());
    assert_eq!(kit.files().len(), 1);
    assert!(remove(TenantId::DEFAULT).await.unwrap());
    assert_eq!(kit.files(), Vec::<String>::new());
}

#[test]
fn types_are_told_without_parameters_and_what_is_none_is_nothing_in_particular() {
    for (given, told) in [
        ("image/png", "image/png"),
        (" Audio/OGG ; codecs=opus", "audio/ogg"),
        ("application/vnd.a+b", "application/vnd.a+b"),
        ("", ANY_TYPE),
        ("image", ANY_TYPE),
        ("image/", ANY_TYPE),
        ("image/p ng", ANY_TYPE),
        ("image/png\r\nx: y", ANY_TYPE),
        ("a/b/c", ANY_TYPE),
    ] {
        assert_eq!(essence(given), told, "{given:?}");
    }
    assert_eq!(essence(&format!("image/{}", "x".repeat(100))), ANY_TYPE);
}
