//! What makes two posts the same event.
//!
//! A key is a digest over the tenant, the door and the sender's own words for the event. The
//! words are written with their lengths, so no two lists of words read the same.

use http::HeaderMap;

use crate::model::event::Envelope;
use crate::model::id::TenantId;
use crate::model::source::Source;
use crate::store::DedupeKey;

use super::map::Reader;
use super::refuse::Refusal;

/// The header by which a caller names a request, so that repeating it does nothing twice.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;

/// The doors an event comes in by; a key of one never equals a key of another.
#[derive(Clone, Copy)]
enum Door {
    /// By the sender's id, which is unique within its CloudEvents source.
    ApiId,
    /// By the request's idempotency key.
    ApiKey,
    Source,
    /// None: the relay tells about itself.
    Own,
}

/// The idempotency key of a request.
///
/// # Errors
/// Refuses a key that is repeated, empty, too long or not printable.
pub fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Refusal::IdempotencyKey("is there more than once"));
    }
    // `to_str` lets tabs pass.
    let key = value.to_str().ok().filter(|key| !key.contains('\t'));
    match key {
        Some("") => Err(Refusal::IdempotencyKey("is empty")),
        Some(key) if key.len() > IDEMPOTENCY_KEY_MAX => {
            Err(Refusal::IdempotencyKey("is longer than 255 bytes"))
        }
        Some(key) => Ok(Some(key)),
        None => Err(Refusal::IdempotencyKey(
            "has characters that are not printable ASCII",
        )),
    }
}

/// The key of event number `index` of a request to the API: by the sender's id, else by the
/// request's idempotency key.
pub fn of_api_post(
    tenant: TenantId,
    envelope: &Envelope,
    idempotency_key: Option<&str>,
    index: usize,
) -> Option<DedupeKey> {
    if let Some(id) = &envelope.id {
        return Some(
            Digest::new(tenant, Door::ApiId)
                .word(&envelope.source)
                .word(id)
                .key(),
        );
    }
    let key = idempotency_key?;
    Some(
        Digest::new(tenant, Door::ApiKey)
            .word(key)
            .word(&index.to_string())
            .key(),
    )
}

/// The key of a post to a source, by its mapping: every required part has to be there. A
/// mapping without parts goes by the id.
pub fn of_source_post(source: &Source, read: &Reader<'_>) -> Option<DedupeKey> {
    let parts = &source.mapping.dedupe;
    let mut digest = Digest::new(source.tenant, Door::Source).word(&source.id.to_string());
    if parts.required.is_empty() {
        return Some(digest.word(&read.value(&source.mapping.id)?).key());
    }
    for part in &parts.required {
        digest = digest.word(&read.value(part)?);
    }
    for part in &parts.optional {
        digest = match read.value(part) {
            Some(value) => digest.word(&value),
            None => digest.absent(),
        };
    }
    Some(digest.key())
}

/// The key of something that the relay tells about itself.
pub fn of_notice(tenant: TenantId, words: &[&str]) -> DedupeKey {
    let digest = Digest::new(tenant, Door::Own);
    words.iter().fold(digest, |digest, word| digest.word(word)).key()
}

struct Digest(blake3::Hasher);

impl Digest {
    fn new(tenant: TenantId, door: Door) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&tenant.raw().to_le_bytes());
        hasher.update(&[door as u8]);
        Self(hasher)
    }

    fn word(mut self, word: &str) -> Self {
        self.0.update(&[1]);
        self.0.update(&(word.len() as u64).to_le_bytes());
        self.0.update(word.as_bytes());
        self
    }

    fn absent(mut self) -> Self {
        self.0.update(&[0]);
        self
    }

    fn key(&self) -> DedupeKey {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        DedupeKey(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(source: &str, id: Option<&str>) -> Envelope {
        Envelope {
            source: source.to_owned(),
            id: id.map(str::to_owned),
            ..Envelope::default()
        }
    }

    #[test]
    fn tenant_source_id_key_and_index_all_count() {
        let tenant = TenantId::DEFAULT;
        let other = TenantId::from_raw(2);
        let keys = [
            of_api_post(tenant, &envelope("a", Some("1")), None, 0),
            of_api_post(other, &envelope("a", Some("1")), None, 0),
            of_api_post(tenant, &envelope("b", Some("1")), None, 0),
            of_api_post(tenant, &envelope("a", Some("2")), None, 0),
            of_api_post(tenant, &envelope("a1", Some("")), None, 0),
            of_api_post(tenant, &envelope("a", None), Some("1"), 0),
            of_api_post(tenant, &envelope("a", None), Some("1"), 1),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(key.is_some() && !keys[..index].contains(key), "{index}");
        }
    }

    #[test]
    fn the_senders_id_goes_before_the_idempotency_key() {
        let with_id = envelope("a", Some("1"));
        assert_eq!(
            of_api_post(TenantId::DEFAULT, &with_id, Some("k"), 3),
            of_api_post(TenantId::DEFAULT, &with_id, None, 0)
        );
        assert_eq!(
            of_api_post(TenantId::DEFAULT, &envelope("a", None), None, 0),
            None
        );
    }

    #[test]
    fn odd_idempotency_keys_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(matches!(idempotency_key(&headers), Ok(None)));
        headers.append(IDEMPOTENCY_KEY, "a1".parse().expect("a header"));
        assert!(matches!(idempotency_key(&headers), Ok(Some("a1"))));
        headers.append(IDEMPOTENCY_KEY, "a1".parse().expect("a header"));
        assert!(idempotency_key(&headers).is_err());
        for value in [String::new(), "k".repeat(256), "clé".to_owned()] {
            headers.insert(IDEMPOTENCY_KEY, value.parse().expect("a header"));
            assert!(idempotency_key(&headers).is_err(), "{value}");
        }
    }
}
