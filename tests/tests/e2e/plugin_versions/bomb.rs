//! Components that are made to burst the compiler.

use relay_tests::guests;
use relay_tests::instance::Relay;
use relay_tests::receiver::Receiver;
use relay_tests::strange;
use relay_tests::wait::within;

use super::{code, delivered, edited, follow, upload, uploaded};

#[tokio::test]
async fn events_are_delivered_while_a_compile_bomb_is_refused() {
    let receiver = Receiver::start();
    let relay = Relay::start("").await;
    uploaded(&relay, guests::EDITS).await;
    follow(&relay, "crm", &receiver, "tidy", "nothing").await;
    let bursting: &'static [u8] = strange::bursting().leak();
    let mut uploading = std::pin::pin!(within(
        "the bomb to be refused",
        upload(&relay, "bomb", bursting, None)
    ));
    let mut events = 0;
    let refused = loop {
        let one = async {
            let n = events + 1;
            (delivered(&relay, &receiver, n).await, edited(n))
        };
        tokio::select! {
            biased;
            answer = &mut uploading => break answer,
            (found, wanted) = one => {
                assert_eq!(found, wanted);
                events += 1;
            }
        }
    };
    assert!(events > 0, "some arrived meanwhile");
    assert_eq!(
        (refused.status, code(&refused).as_str()),
        (422, "unusable_component")
    );
    assert!(
        refused.text().contains("cannot be compiled"),
        "{}",
        refused.text()
    );
}
