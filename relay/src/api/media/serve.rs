//! Serves a file to whoever has its address, so that nothing in it is run by a browser.

use std::io::SeekFrom;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::range::{Part, Wanted, wanted};
use super::unknown;
use crate::api::Api;
use crate::api::errors::{Failure, broken};
use crate::api::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::model::id::MediaId;
use crate::store::MediaFile;

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// The longest that whoever fetched a file may go without asking again.
const FRESH_MAX: Duration = Duration::from_secs(24 * 3600);
/// Kinds of media that a browser shows without running anything; what else there is it saves. So it
/// does PDF, which readers in browsers refuse to show in a sandbox.
const SHOWN: [&str; 3] = ["image/", "audio/", "video/"];
/// An image that may have scripts in it.
const SVG: &str = "image/svg+xml";

/// What an address says beside the file.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Signed {
    /// When it expires, in seconds since 1970.
    #[param(value_type = i64)]
    expires: Option<String>,
    #[param(value_type = String)]
    signature: Option<String>,
}

/// Gives a file to whoever has its address
///
/// Needs no key. The address comes from the event that the file was captured for, and expires. Parts of
/// it can be asked for (`Range: bytes=…`, one range), and `If-None-Match` is heeded.
#[utoipa::path(
    get,
    path = "/media/{id}",
    tag = "media",
    security(()),
    params(("id" = String, Path), Signed),
    responses(
        (status = 200, body = [u8], content_type = "*/*"),
        (status = 206, description = "a part of it", body = [u8], content_type = "*/*"),
        (status = 304, description = "whoever asks has it already"),
        (status = 403, description = "`bad_signature`: no address that this relay made"),
        (status = 410, description = "`expired`"),
        (status = 416, description = "`no_such_range`"),
        (status = 500, description = "`broken` or `store_broken`: the relay's log says why"),
        (status = 503, description = "`store_unavailable`: try again"),
    )
)]
pub(super) async fn serve(
    State(api): State<Api>,
    PathId(id): PathId,
    Params(signed): Params<Signed>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (file, expires) = check(&api, &id, &signed).await?;
    let entity = entity(&file);
    if is_known(&headers, &entity) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, entity)]).into_response());
    }
    let opened = api.media.open(&file).await;
    let opened = opened.map_err(|error| broken(&format!("{} cannot be read: {error}", file.id)))?;
    let Some(opened) = opened else {
        tracing::error!(file = %file.id, "the bytes of a file are not in the folder");
        return Err(unknown(&id));
    };
    let part = match asked(&headers, &entity, file.bytes) {
        Wanted::Nothing => return Ok(no_such_range(file.bytes)),
        Wanted::All => None,
        Wanted::Part(part) => Some(part),
    };
    let body = body(opened, &file, part).await;
    let body = body.map_err(|error| broken(&format!("{} cannot be read: {error}", file.id)))?;
    let mut response = body.into_response();
    describe(&mut response, &file, entity, part);
    let fresh = expires.saturating_sub(api.clock.now().as_secs());
    let fresh = fresh.clamp(0, FRESH_MAX.as_secs().cast_signed());
    if let Ok(value) = HeaderValue::try_from(format!("private, max-age={fresh}")) {
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    Ok(response)
}

/// The file that an address is of, and when it expires. The signature is looked at first: who has none
/// is told nothing, and costs nothing.
async fn check(api: &Api, asked: &str, signed: &Signed) -> Result<(MediaFile, i64), Failure> {
    let bad = || {
        let detail = "no such address was made here: take it from the event, unchanged";
        Failure(Problem::new(403, "bad_signature", "Bad signature", detail))
    };
    let id: MediaId = asked.parse().map_err(|_| unknown(asked))?;
    let expires = signed.expires.as_deref().and_then(|text| text.parse().ok());
    let (expires, signature): (i64, _) = expires.zip(signed.signature.as_deref()).ok_or_else(bad)?;
    if !api.media.is_genuine(id, expires, signature).await? {
        return Err(bad());
    }
    if api.clock.now().as_secs() >= expires {
        let detail = "this address has expired; the file is kept no longer";
        return Err(Problem::new(410, "expired", "Expired", detail).into());
    }
    let file = api.media.file(id).await?;
    // Of a tenant that was deleted nothing is given out.
    let file = file.filter(|file| api.manager.tenant(file.tenant).is_some());
    Ok((file.ok_or_else(|| unknown(asked))?, expires))
}

/// The same bytes under one address, for ever.
fn entity(file: &MediaFile) -> HeaderValue {
    let text = format!("\"{}\"", hex::encode(&file.digest[..16]));
    HeaderValue::try_from(text).expect("hexadecimal digits can stand in a header")
}

/// Whether whoever asks has it already.
fn is_known(headers: &HeaderMap, entity: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).iter();
    let mut known = known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','));
    let entity = entity.to_str().unwrap_or_default();
    known.any(|tag| tag.trim() == "*" || tag.trim().trim_start_matches("W/") == entity)
}

/// Which part is asked for; all of it, if whoever asks holds a part of something else.
fn asked(headers: &HeaderMap, entity: &HeaderValue, bytes: u64) -> Wanted {
    if headers.get(header::IF_RANGE).is_some_and(|held| held != entity) {
        return Wanted::All;
    }
    let range = headers.get(header::RANGE);
    wanted(range.and_then(|value| value.to_str().ok()), bytes)
}

fn no_such_range(bytes: u64) -> Response {
    let detail = format!("the file has {bytes} bytes");
    let problem = Problem::new(416, "no_such_range", "No such range", detail);
    let mut response = Failure(problem).into_response();
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{bytes}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// The bytes, read as they are fetched.
async fn body(mut opened: File, file: &MediaFile, part: Option<Part>) -> std::io::Result<Body> {
    let length = part.map_or(file.bytes, Part::bytes);
    if let Some(part) = part {
        opened.seek(SeekFrom::Start(part.first)).await?;
    }
    let pieces = stream::try_unfold(opened.take(length), |mut rest| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = rest.read_buf(&mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), rest)))
    });
    Ok(Body::from_stream(pieces))
}

fn describe(response: &mut Response, file: &MediaFile, entity: HeaderValue, part: Option<Part>) {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCEPT_RANGES, "bytes"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_DISPOSITION, disposition(&file.content_type)),
        // So that pages of others can show it.
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::ETAG, entity);
    let length = part.map_or(file.bytes, Part::bytes);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Ok(content_type) = HeaderValue::try_from(&file.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let Some(Part { first, last }) = part else { return };
    let range = format!("bytes {first}-{last}/{}", file.bytes);
    if let Ok(range) = HeaderValue::try_from(range) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
}

/// Whether a browser shows it or saves it.
fn disposition(content_type: &str) -> &'static str {
    let is_media = SHOWN.iter().any(|kind| content_type.starts_with(kind));
    if is_media && content_type != SVG {
        "inline"
    } else {
        "attachment"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_show_media_and_save_whatever_could_run() {
        for content_type in ["image/jpeg", "audio/ogg", "video/mp4"] {
            assert_eq!(disposition(content_type), "inline", "{content_type}");
        }
        for content_type in [
            "text/html",
            "application/pdf",
            "image/svg+xml",
            "application/octet-stream",
            "text/plain",
            "",
        ] {
            assert_eq!(disposition(content_type), "attachment", "{content_type}");
        }
    }

    #[test]
    fn who_has_it_already_is_told_so() {
        let entity = HeaderValue::from_static("\"a1\"");
        for (given, is_held) in [
            ("\"a1\"", true),
            ("W/\"a1\"", true),
            ("\"b2\", \"a1\"", true),
            ("*", true),
            ("\"b2\"", false),
            ("a1", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static(given));
            assert_eq!(is_known(&headers, &entity), is_held, "{given}");
        }
        assert!(!is_known(&HeaderMap::new(), &entity));
    }
}
