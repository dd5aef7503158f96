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
/// How often the files are read although nothing was heard of them: not all file systems tell.
const LOOK: Duration = Duration::from_secs(3600);
/// A certificate that ends sooner is named in the log.
const SOON: Duration = Duration::from_secs(14 * DAY.as_secs());
/// How often it is.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Reads what is to be shown, if anything is.
pub(super) fn read(files: Option<&Files>) -> Result<Option<Identity>, Unusable> {
    files.map(Identity::read).transpose()
}

/// Makes ready to show it.
pub(super) fn start(files: Option<&Files>) -> Result<Option<Arc<Tls>>, Unusable> {
    Ok(read(files)?.map(|identity| Arc::new(Tls::new(identity))))
}

/// Shows another certificate from now on, if it is another.
pub(super) fn show(tls: &Tls, identity: Identity) {
    if tls.identity().is_same(&identity) {
        return;
    }
    tracing::info!(ends = %identity.ends, "other certificates are in force from now on");
    tls.replace(identity);
}

/// Warns of the end of what is shown: at once, and from then on once a day.
#[derive(Default)]
struct Reminder {
    /// The end that was warned of last, and when.
    warned: Option<(Timestamp, Timestamp)>,
}

impl Reminder {
    fn look(&mut self, ends: Timestamp, now: Timestamp) {
        if self.is_due(ends, now) {
            warn_of_the_end(ends, now);
        }
    }

    fn is_due(&mut self, ends: Timestamp, now: Timestamp) -> bool {
        let is_said = |(end, at): (Timestamp, Timestamp)| end == ends && now < at + DAY;
        let is_due = ends < now + SOON && !self.warned.is_some_and(is_said);
        if is_due {
            self.warned = Some((ends, now));
        }
        is_due
    }
}

fn warn_of_the_end(ends: Timestamp, now: Timestamp) {
    if ends <= now {
        tracing::warn!(%ends, "server.tls.cert: the certificate has expired; clients will refuse it");
    } else {
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
    let (mut watch, mut reminder) = (Watch::default(), Reminder::default());
    let mut told = None;
    loop {
        {
            // Not a moment longer: while this is held, no other configuration comes into force.
            let config = reload.manager.lock().await;
            let Some(files) = &config.server.tls else { return };
            watch.follow(files, changed);
            take_up(tls, files, &mut told);
        }
        reminder.look(tls.identity().ends, reload.clock.now());
        if tokio::time::timeout(LOOK, changed.notified()).await.is_ok() {
            // A folder in which something changes all the time is looked at all the same.
            drop(tokio::time::timeout(SETTLE_MAX, settle(changed)).await);
        }
    }
}

/// Shows what the files hold now.
fn take_up(tls: &Tls, files: &Files, told: &mut Option<Unusable>) {
    match Identity::read(files) {
        Ok(identity) => {
            *told = None;
            show(tls, identity);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_that_is_near_is_warned_of_once_a_day() {
        let start = Timestamp::from_millis(1_770_000_000_000);
        let ends = start + 30 * DAY;
        let mut reminder = Reminder::default();
        let mut now = start;
        let mut warnings = Vec::new();
        while now < ends + 2 * DAY {
            if reminder.is_due(ends, now) {
                warnings.push(now.since(start).as_secs() / DAY.as_secs());
            }
            now = now + LOOK;
        }
        let first = warnings.first().copied();
        assert_eq!(first, Some(16), "{warnings:?}");
        assert!(warnings.is_sorted_by(|a, b| a + 1 == *b), "{warnings:?}");
        assert_eq!(warnings.last(), Some(&31), "after the end, too");
        assert!(reminder.is_due(ends + DAY, now), "another certificate");
        assert!(!reminder.is_due(now + 15 * DAY, now), "a renewed one");
    }
}
