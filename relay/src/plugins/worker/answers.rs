//! What the relay says to what its worker asks: only for a plugin that is being called, and
//! only what that plugin may have.

use std::time::Duration;

use super::beyond;
use super::calls::held;
use super::message::{Answer, Ask, PieceSent, StateAnswer, StateAsk, StateTrouble};
use crate::model::time::Timestamp;
use crate::plugins::keys::Work;
use crate::plugins::subject::Subject;
use crate::plugins::v0_1::{KEY_BYTES_MAX, MESSAGE_BYTES_MAX, PAGE_KEYS_MAX, VALUE_BYTES_MAX};
use crate::plugins::visit::Grants;
use crate::store::{self, Written};

/// The answer for one call of the plugin that was granted this.
pub(super) async fn answer(grants: &Grants, subject: &Subject, what: Ask) -> Answer {
    match what {
        Ask::Keys {
            name, work, message, ..
        } => keys(grants, subject, &name, &work, &message),
        Ask::State(asked) if grants.granted.state && fits(&asked) => {
            Answer::State(state(grants, asked).await.map_err(trouble))
        }
        Ask::State(_) => Answer::Refused,
        Ask::Errand(errand) => match beyond::run(grants, subject, errand).await {
            Some(run) => Answer::Errand(run),
            None => Answer::Refused,
        },
    }
}

fn keys(grants: &Grants, subject: &Subject, name: &str, work: &Work, message: &[PieceSent]) -> Answer {
    let piece = |piece| match piece {
        &PieceSent::Held(number) => held(subject, number),
        PieceSent::Given(bytes) => Some(bytes),
    };
    let pieces: Option<Vec<&[u8]>> = message.iter().map(|sent| Some(piece(sent)?.as_ref())).collect();
    match pieces {
        Some(pieces) if pieces.iter().map(|piece| piece.len()).sum::<usize>() <= MESSAGE_BYTES_MAX => {
            Answer::Keys(grants.secret(name).map(|secret| work.with(secret, &pieces)))
        }
        _ => Answer::Refused,
    }
}

/// Whether a plugin's own side would have let it through.
fn fits(asked: &StateAsk) -> bool {
    let key = |key: &str| key.len() <= KEY_BYTES_MAX;
    let value = |value: &[u8]| value.len() <= VALUE_BYTES_MAX;
    match asked {
        StateAsk::Value(at) | StateAsk::Delete(at) => key(at),
        StateAsk::Claim { key: at, .. } | StateAsk::Add { key: at, .. } => key(at),
        StateAsk::Set {
            key: at,
            value: given,
            ..
        }
        | StateAsk::Swap {
            key: at,
            value: given,
            ..
        } => key(at) && value(given),
        StateAsk::Keys { prefix, after, limit } => {
            key(prefix) && after.as_deref().is_none_or(key) && (1..=PAGE_KEYS_MAX).contains(limit)
        }
    }
}

async fn state(grants: &Grants, asked: StateAsk) -> Result<StateAnswer, store::Error> {
    let (state, scope, now) = (&grants.store, &grants.scope, grants.clock.now());
    let after = |ttl: Option<Duration>| ttl.map(|ttl| later(now, ttl));
    Ok(match asked {
        StateAsk::Value(key) => StateAnswer::Value(state.state_value(scope, &key, now).await?),
        StateAsk::Set { key, value, ttl } => written(
            state.set_state(scope, &key, value, after(ttl), now).await?,
            |()| StateAnswer::Done,
        ),
        StateAsk::Delete(key) => {
            state.delete_state(scope, &key).await?;
            StateAnswer::Done
        }
        StateAsk::Claim { key, ttl } => written(
            state.claim_state(scope, &key, later(now, ttl), now).await?,
            StateAnswer::Verdict,
        ),
        StateAsk::Add { key, delta, ttl } => written(
            state.add_state(scope, &key, delta, after(ttl), now).await?,
            StateAnswer::Sum,
        ),
        StateAsk::Swap {
            key,
            expected,
            value,
            ttl,
        } => written(
            state
                .swap_state(scope, &key, expected, value, after(ttl), now)
                .await?,
            StateAnswer::Verdict,
        ),
        StateAsk::Keys { prefix, after, limit } => {
            StateAnswer::Keys(state.state_keys(scope, &prefix, after, limit, now).await?)
        }
    })
}

/// As far ahead as a plugin can ask for.
fn later(now: Timestamp, ttl: Duration) -> Timestamp {
    now + ttl.min(Duration::from_secs(u32::MAX.into()))
}

fn written<T>(written: Written<T>, done: impl FnOnce(T) -> StateAnswer) -> StateAnswer {
    match written {
        Written::Done(value) => done(value),
        Written::QuotaExceeded => StateAnswer::QuotaExceeded,
    }
}

fn trouble(error: store::Error) -> StateTrouble {
    match error {
        store::Error::Unavailable(why) => StateTrouble::Unavailable(why),
        store::Error::Full(why) => StateTrouble::Full(why),
        store::Error::Corrupt(why) => StateTrouble::Corrupt(why),
        other => StateTrouble::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::trial;
    use super::*;

    #[tokio::test]
    async fn state_is_for_plugins_that_were_granted_it() {
        let ask = || Ask::State(StateAsk::Value("key".to_owned()));
        let mut grants = trial::grants();
        let refused = answer(&grants, &trial::subject(), ask()).await;
        assert!(matches!(refused, Answer::Refused), "{refused:?}");
        grants.granted.state = true;
        let found = answer(&grants, &trial::subject(), ask()).await;
        assert!(
            matches!(found, Answer::State(Ok(StateAnswer::Value(None)))),
            "{found:?}"
        );
    }

    #[test]
    fn state_is_held_against_its_sizes_once_more() {
        let key = |len: usize| "k".repeat(len);
        let keys = |prefix: usize, limit: usize| StateAsk::Keys {
            prefix: key(prefix),
            after: None,
            limit,
        };
        let set = |len: usize, bytes: usize| StateAsk::Set {
            key: key(len),
            value: vec![0; bytes],
            ttl: None,
        };
        for fine in [
            set(KEY_BYTES_MAX, VALUE_BYTES_MAX),
            keys(0, 1),
            keys(0, PAGE_KEYS_MAX),
        ] {
            assert!(fits(&fine), "{fine:?}");
        }
        for too_much in [
            set(KEY_BYTES_MAX + 1, 0),
            set(1, VALUE_BYTES_MAX + 1),
            keys(KEY_BYTES_MAX + 1, 1),
            keys(0, 0),
            keys(0, PAGE_KEYS_MAX + 1),
            StateAsk::Delete(key(KEY_BYTES_MAX + 1)),
        ] {
            assert!(!fits(&too_much));
        }
    }
}
