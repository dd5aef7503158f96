use super::super::message::{Answer, StateAsk};
use super::*;

const TERMS: Terms = Terms {
    instances_max: 4,
    memory_bytes_max: 1 << 20,
    fuel: false,
};

/// A life of a worker that this test plays: its end of the sockets, and how the life ends.
async fn begun() -> (UnixStream, tokio::task::JoinHandle<Ended>) {
    let (own, mut its) = UnixStream::pair().expect("sockets");
    let begins = tokio::spawn(async move {
        match Session::begin(own, TERMS).await {
            Ok((_session, running)) => running.await,
            Err(ended) => ended,
        }
    });
    let terms = hear(&mut its).await;
    assert!(matches!(terms, ToWorker::Begin(TERMS)), "{terms:?}");
    say(&mut its, &FromWorker::Ready { is_walled: true }).await;
    (its, begins)
}

async fn say(its: &mut UnixStream, message: &FromWorker) {
    let bytes = frame(message).expect("it can be written");
    its.write_all(&bytes).await.expect("the relay reads");
}

async fn hear(its: &mut UnixStream) -> ToWorker {
    frame::read(its, || TO_WORKER_MAX)
        .await
        .expect("the relay speaks")
}

#[tokio::test]
async fn a_place_without_a_call_is_told_nothing() {
    let (mut its, begins) = begun().await;
    for (ask, what) in [
        Ask::State(StateAsk::Value("key".to_owned())),
        Ask::Keys {
            call: 1,
            name: "token".to_owned(),
            work: crate::plugins::keys::Work::Reveal,
            message: Vec::new(),
        },
    ]
    .into_iter()
    .enumerate()
    {
        let ask = ask as u64;
        say(&mut its, &FromWorker::Ask { ask, place: 1, what }).await;
        match hear(&mut its).await {
            ToWorker::Answer { ask: to, answer } => {
                assert!(to == ask && matches!(answer, Answer::Refused), "{answer:?}");
            }
            other => panic!("expected an answer, got {other:?}"),
        }
    }
    drop(its);
    assert!(matches!(begins.await.expect("no panic"), Ended::Stream));
}

#[tokio::test]
async fn what_cannot_be_true_ends_it() {
    let never_began = FromWorker::Done(Box::new(Finished {
        call: 7,
        done: Ok(super::super::calls::DoneSent::Keep),
        log: Vec::new(),
        waited: Duration::ZERO,
        waited_elsewhere: Duration::ZERO,
    }));
    for lie in [never_began, FromWorker::Ready { is_walled: true }] {
        let (mut its, begins) = begun().await;
        say(&mut its, &lie).await;
        assert!(
            matches!(begins.await.expect("no panic"), Ended::Lied(_)),
            "{lie:?}"
        );
    }
    for bytes in [[0xff; 16], [0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
        let (mut its, begins) = begun().await;
        its.write_all(&bytes).await.expect("the relay reads");
        assert!(
            matches!(begins.await.expect("no panic"), Ended::Lied(_)),
            "{bytes:?}"
        );
    }
}
