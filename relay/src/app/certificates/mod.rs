//! What the listeners show: read at the start, on SIGHUP, and when the files change.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::reload::Reload;
use crate::http::tls::{Files, Identity, Tls, Unusable};
use crate::model::time::Timestamp;

mod watch;

use watch::Watch;

/// How long nothing may happen before a change counts as finished: certificate and key are
/// written one after the other.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a change may at most be waited for.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// A certificate that ends sooner is named in the log.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Reads what is to be shown, if anything is.
pub(super) fn read(files: Option<&Files>) -> Result<Option<Identity>, Unusable> {
    files.map(Identity::read).transpose()
}

/// Makes ready to show it.
pub(super) fn start(files: Option<&Files>, now: Timestamp) -> Result<Option<Arc<Tls>>, Unusable> {
    let Some(identity) = read(files)? else {
        return Ok(None);
    };
    warn_of_the_end(&identity, now);
    Ok(Some(Arc::new(Tls::new(identity))))
}

/// Shows another certificate from now on, if it is another.
pub(super) fn show(tls: &Tls, identity: Identity, now: Timestamp) {
    if tls.identity().is_same(&identity) {
        return;
    }
    tracing::info!(ends = %identity.ends, "other certificates are in force from now on");
    warn_of_the_end(&identity, now);
    tls.replace(identity);
}

fn warn_of_the_end(identity: &Identity, now: Timestamp) {
    let ends = identity.ends;
    if ends <= now {
        tracing::warn!(%ends, "server.tls.cert: the certificate has expired; clients will refuse it");
    } else if ends < now + SOON {
        tracing::warn!(%ends, "server.tls.cert: the certificate expires soon; renew it");
    }
}

/// Follows changes of the files until `stop`. What cannot be used leaves the old ones in force.
pub(super) async fn follow(reload: Arc<Reload>, stop: CancellationToken) {
    let Some(tls) = reload.tls.clone() else { return };
    let following = keep_up(&reload, &tls);
    stop.run_until_cancelled(following).await;
}

async fn keep_up(reload: &Reload, tls: &Tls) {
    let changed = &reload.certificates_changed;
    let mut watch = Watch::default();
    let mut told = None;
    loop {
        {
            // Not a moment longer: while this is held, no other configuration comes into force.
            let config = reload.config.lock().await;
            let Some(files) = &config.server.tls else { return };
            watch.follow(files, changed);
            take_up(tls, files, &mut told, reload.clock.now());
        }
        changed.notified().await;
        // A folder in which something changes all the time is looked at all the same.
        drop(tokio::time::timeout(SETTLE_MAX, settle(changed)).await);
    }
}

/// Shows what the files hold now.
fn take_up(tls: &Tls, files: &Files, told: &mut Option<Unusable>, now: Timestamp) {
    match Identity::read(files) {
        Ok(identity) => {
            *told = None;
            show(tls, identity, now);
        }
        // Said once, however often a broken file is touched.
        Err(unusable) if told.as_ref() == Some(&unusable) => {}
        Err(unusable) => {
            tracing::error!(error = %unusable, "the changed certificate cannot be used; the old one stays in force");
            *told = Some(unusable);
        }
    }
}

async fn settle(changed: &Notify) {
    while tokio::time::timeout(SETTLE, changed.notified()).await.is_ok() {}
}
