//! A store in memory that fails, dawdles, and has the process crash just before or after a commit.
//! What was committed survives a crash.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use relay::model::attempt::Attempt;
use relay::model::audit::{Deed, Entry};
use relay::model::counts::Counts;
use relay::model::delivery::Delivery;
use relay::model::event::Event;
use relay::model::id::{
    DeliveryId, EndpointId, EventId, InspectorId, JobId, KeyId, MediaId, RuleId, SourceId, TenantId,
};
use relay::model::inspector::Inspector;
use relay::model::page::{Listed, Page};
use relay::model::path::Paths;
use relay::model::plugin::Version;
use relay::model::resource::{Kind, Resource};
use relay::model::secret::Secret;
use relay::model::time::Timestamp;
use relay::store::memory::MemoryStore;
use relay::store::monitoring::{
    Bucket, CountsAsked, ExpectedAsked, ExpectedPage, Firing, FiringOf, Monitoring, Pending,
    Step as CountStep, Unfetched,
};
use relay::store::{
    Accepted, Audit, AuditFilter, Chain, Claimed, DeliveryFilter, DeliveryQueue, Disabled, DueBatch,
    DueTimers, Error, EventFilter, EventStore, Expiry, Failing, Fingerprint, Insight, Job, Jobs, KeptKey,
    Key, KeyCount, KeyFilter, KeyRing, MediaFile, MediaFiles, MediaReserved, MediaRoom, Metering, Named,
    NewEvent, Owned, PluginChange, PluginState, Pruned, Recent, Record, Registry, Replies, Reply,
    RequestName, Resources, Retiring, Retried, Rotation, RuleLosses, RuleState, RuleVersion, Saved, Scope,
    SigningSecrets, SourcePaths, Span, Started, Step, Stepped, TimerId, UnfinishedPage, Uploaded, Uploads,
    Usage, Walked, Which, Written,
};

use super::Flaw;
use super::fate::{End, Fate};
use super::world::World;

/// See the module.
pub(super) struct FaultyStore {
    world: Arc<World>,
    inner: Arc<MemoryStore>,
}

impl FaultyStore {
    pub(super) fn new(world: Arc<World>, inner: Arc<MemoryStore>) -> Self {
        Self { world, inner }
    }

    async fn read<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.meet(what, self.world.fate(false), work).await
    }

    async fn write<T>(&self, what: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.meet(what, self.world.fate(true), work).await
    }

    async fn meet<T>(
        &self,
        what: &str,
        fate: Fate,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        pass(fate.before).await;
        match fate.end {
            End::Fails(error) => {
                self.world.trace(format_args!("store: {what} fails"));
                return Err(error);
            }
            End::CrashesBefore => self.crash("before", what).await,
            End::Well | End::CrashesAfter => {}
        }
        let done = work.await;
        if matches!(fate.end, End::CrashesAfter) {
            self.crash("after", what).await;
        }
        pass(fate.after).await;
        done
    }

    async fn crash(&self, when: &str, what: &str) {
        self.world.trace(format_args!("crash {when} {what}"));
        self.world.crash();
        std::future::pending().await
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.world.flaw == flaw
    }

    /// Writes records, and tells the ledger.
    async fn commit(world: &World, inner: &MemoryStore, records: &[Record]) -> Result<(), Error> {
        inner.record(records).await?;
        for record in records {
            let kept = world.ledger().recorded(record);
            world.expect(kept);
        }
        Ok(())
    }
}

async fn pass(span: Duration) {
    if !span.is_zero() {
        tokio::time::sleep(span).await;
    }
}

#[async_trait]
impl EventStore for FaultyStore {
    async fn accept(&self, mut events: Vec<NewEvent>, now: Timestamp) -> Result<Vec<Accepted>, Error> {
        let work = async {
            let planned = events.clone();
            let forgets = self.has(Flaw::ForgetsEvents) && self.world.chance(0.05);
            if forgets {
                events.clear();
            }
            let mut accepted = self.inner.accept(events, now).await?;
            if forgets {
                accepted = vec![Accepted::New; planned.len()];
            }
            for (new, accepted) in planned.iter().zip(&accepted) {
                if *accepted == Accepted::New {
                    self.world.trace(format_args!("store: accepted {}", new.event.id));
                    let fires = new.rules.as_ref().is_some_and(|rules| rules.fires.is_some());
                    self.world.count(|counts| counts.timers += u64::from(fires));
                    let kept = self.world.ledger().accepted(new, now);
                    self.world.expect(kept);
                }
            }
            Ok(accepted)
        };
        self.write("accept", work).await
    }

    async fn event(&self, tenant: TenantId, id: EventId) -> Result<Option<Arc<Event>>, Error> {
        self.read("event", self.inner.event(tenant, id)).await
    }

    async fn events(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        page: Page,
    ) -> Result<Listed<Arc<Event>>, Error> {
        self.read("events", self.inner.events(tenant, filter, page)).await
    }

    async fn prune(
        &self,
        before: Timestamp,
        dedupe_before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> Result<Pruned, Error> {
        self.write("prune", self.inner.prune(before, dedupe_before, now, limit))
            .await
    }

    fn health(&self) -> Result<(), Error> {
        self.inner.health()
    }

    async fn last_raw_id(&self) -> Result<i64, Error> {
        self.read("last_raw_id", self.inner.last_raw_id()).await
    }
}

#[async_trait]
impl DeliveryQueue for FaultyStore {
    async fn record(&self, records: &[Record]) -> Result<(), Error> {
        if self.has(Flaw::AnswersBeforeCommit) {
            let (world, inner) = (Arc::clone(&self.world), Arc::clone(&self.inner));
            let records = records.to_vec();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                drop(Self::commit(&world, &inner, &records).await);
            });
            return Ok(());
        }
        let work = async {
            if self.has(Flaw::ForgetsOutcomes) && self.world.chance(0.02) {
                return Ok(());
            }
            for record in records {
                let Record {
                    delivery,
                    attempts,
                    progress,
                    ..
                } = record;
                let state = progress.state;
                self.world.trace(format_args!(
                    "store: {delivery} {state} after {attempts}, due {:?}",
                    progress.due
                ));
            }
            Self::commit(&self.world, &self.inner, records).await
        };
        self.write("record", work).await
    }

    async fn due(
        &self,
        endpoint: EndpointId,
        mut now: Timestamp,
        mut skip: HashSet<DeliveryId>,
        limit: usize,
    ) -> Result<DueBatch, Error> {
        if self.has(Flaw::ReadsEarly) {
            now = now + Duration::from_secs(20);
        }
        if self.has(Flaw::ReadsTwice) {
            skip.clear();
        }
        self.read("due", self.inner.due(endpoint, now, skip, limit)).await
    }

    async fn give_up(&self, deliveries: Vec<DeliveryId>, reason: &str, now: Timestamp) -> Result<(), Error> {
        self.write("give_up", self.inner.give_up(deliveries, reason, now))
            .await
    }

    async fn cancel_all(
        &self,
        endpoint: EndpointId,
        before: DeliveryId,
        limit: usize,
        reason: &str,
        now: Timestamp,
    ) -> Result<usize, Error> {
        self.write(
            "cancel_all",
            self.inner.cancel_all(endpoint, before, limit, reason, now),
        )
        .await
    }

    async fn cancel(
        &self,
        tenant: TenantId,
        deliveries: Vec<DeliveryId>,
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<(DeliveryId, EndpointId)>, Error> {
        self.write("cancel", self.inner.cancel(tenant, deliveries, reason, now))
            .await
    }

    async fn waiting(&self) -> Result<Vec<(EndpointId, Timestamp)>, Error> {
        self.read("waiting", self.inner.waiting()).await
    }

    async fn unfinished(&self, after: EventId, limit: usize) -> Result<UnfinishedPage, Error> {
        self.read("unfinished", self.inner.unfinished(after, limit)).await
    }

    async fn set_checkpoint(&self, mut upto: EventId) -> Result<(), Error> {
        if self.has(Flaw::ChecksTooFar) {
            upto = EventId::from_raw(upto.raw() + 1_000_000_000);
        }
        let work = async {
            self.inner.set_checkpoint(upto).await?;
            let kept = self.world.ledger().checkpoint_set(upto);
            self.world.expect(kept);
            Ok(())
        };
        self.write("set_checkpoint", work).await
    }

    async fn checkpoint(&self) -> Result<EventId, Error> {
        self.read("checkpoint", self.inner.checkpoint()).await
    }

    async fn set_clock_ahead(&self, ms: i64) -> Result<(), Error> {
        let work = async {
            self.inner.set_clock_ahead(ms).await?;
            self.world
                .trace(format_args!("store: the wall clock is {ms} ms ahead"));
            self.world.ledger().clock_ahead_known(ms);
            Ok(())
        };
        self.write("set_clock_ahead", work).await
    }

    async fn clock_ahead(&self) -> Result<i64, Error> {
        self.read("clock_ahead", self.inner.clock_ahead()).await
    }

    async fn deliveries(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<Delivery>, Error> {
        self.read("deliveries", self.inner.deliveries(tenant, filter, page))
            .await
    }

    async fn delivery(&self, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, Error> {
        self.read("delivery", self.inner.delivery(tenant, id)).await
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, Error> {
        self.read("attempts", self.inner.attempts(tenant, id)).await
    }

    async fn retry(&self, tenant: TenantId, id: DeliveryId, now: Timestamp) -> Result<Retried, Error> {
        let work = async {
            let retried = self.inner.retry(tenant, id, now).await?;
            self.world
                .trace(format_args!("store: retry of {id}: {retried:?}"));
            if matches!(retried, Retried::Waits(_)) {
                self.world.ledger().asked_for(id, now);
            }
            Ok(retried)
        };
        self.write("retry", work).await
    }
}

#[async_trait]
impl Jobs for FaultyStore {
    async fn events_after(
        &self,
        tenant: TenantId,
        filter: EventFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Arc<Event>>, Error> {
        self.read(
            "events_after",
            self.inner.events_after(tenant, filter, span, limit),
        )
        .await
    }

    async fn deliveries_after(
        &self,
        tenant: TenantId,
        filter: DeliveryFilter,
        span: Span,
        limit: usize,
    ) -> Result<Walked<Delivery>, Error> {
        let walk = self.inner.deliveries_after(tenant, filter, span, limit);
        self.read("deliveries_after", walk).await
    }

    async fn replay(
        &self,
        tenant: TenantId,
        event: EventId,
        deliveries: Vec<(DeliveryId, EndpointId)>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        self.write("replay", self.inner.replay(tenant, event, deliveries, now))
            .await
    }

    async fn start_job(
        &self,
        job: Job,
        running_max: usize,
        forget_before: Timestamp,
        deed: Option<Deed>,
    ) -> Result<Started, Error> {
        let started = self.inner.start_job(job, running_max, forget_before, deed);
        self.write("start_job", started).await
    }

    async fn job(&self, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
        self.read("job", self.inner.job(tenant, id)).await
    }

    async fn jobs(&self, tenant: TenantId, page: Page) -> Result<Listed<Job>, Error> {
        self.read("jobs", self.inner.jobs(tenant, page)).await
    }

    async fn running_jobs(&self) -> Result<Vec<Job>, Error> {
        self.read("running_jobs", self.inner.running_jobs()).await
    }

    async fn step(&self, step: Step) -> Result<Option<Stepped>, Error> {
        self.write("step", self.inner.step(step)).await
    }

    async fn cancel_job(&self, tenant: TenantId, id: JobId, now: Timestamp) -> Result<bool, Error> {
        self.write("cancel_job", self.inner.cancel_job(tenant, id, now))
            .await
    }
}

#[async_trait]
impl Insight for FaultyStore {
    async fn keep_test(&self, event: Arc<Event>, record: Record) -> Result<(), Error> {
        self.write("keep_test", self.inner.keep_test(event, record)).await
    }

    async fn planned(
        &self,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Option<Vec<(DeliveryId, EndpointId)>>, Error> {
        self.read("planned", self.inner.planned(tenant, event)).await
    }

    async fn add_inspector(&self, inspector: Inspector) -> Result<(), Error> {
        self.write("add_inspector", self.inner.add_inspector(inspector))
            .await
    }

    async fn inspectors(&self) -> Result<Vec<Inspector>, Error> {
        self.inner.inspectors().await
    }

    async fn remove_inspector(&self, tenant: TenantId, id: InspectorId) -> Result<(), Error> {
        self.write("remove_inspector", self.inner.remove_inspector(tenant, id))
            .await
    }

    async fn recent(&self, tenant: TenantId) -> Result<Recent, Error> {
        self.read("recent", self.inner.recent(tenant)).await
    }
}

#[async_trait]
impl SourcePaths for FaultyStore {
    async fn paths(&self, source: SourceId) -> Result<Option<Paths>, Error> {
        self.read("paths", self.inner.paths(source)).await
    }

    async fn set_paths(
        &self,
        tenant: TenantId,
        source: SourceId,
        paths: Paths,
        deed: Deed,
    ) -> Result<(), Error> {
        self.write("set_paths", self.inner.set_paths(tenant, source, paths, deed))
            .await
    }
}

#[async_trait]
impl MediaFiles for FaultyStore {
    async fn media_key(&self, fresh: Secret) -> Result<Secret, Error> {
        self.write("media_key", self.inner.media_key(fresh)).await
    }

    async fn reserve_media(
        &self,
        file: MediaFile,
        room: MediaRoom,
        given_up: Timestamp,
        now: Timestamp,
    ) -> Result<MediaReserved, Error> {
        let work = self.inner.reserve_media(file, room, given_up, now);
        self.write("reserve_media", work).await
    }

    async fn finish_media(&self, file: MediaFile, now: Timestamp) -> Result<Option<MediaFile>, Error> {
        self.write("finish_media", self.inner.finish_media(file, now))
            .await
    }

    async fn give_up_media(&self, id: MediaId) -> Result<(), Error> {
        self.write("give_up_media", self.inner.give_up_media(id)).await
    }

    async fn media_file(&self, id: MediaId) -> Result<Option<MediaFile>, Error> {
        self.read("media_file", self.inner.media_file(id)).await
    }

    async fn media_files(&self, tenant: TenantId, page: Page) -> Result<Listed<MediaFile>, Error> {
        self.read("media_files", self.inner.media_files(tenant, page))
            .await
    }

    async fn media_bytes(&self, tenant: TenantId) -> Result<u64, Error> {
        self.read("media_bytes", self.inner.media_bytes(tenant)).await
    }

    async fn remove_media(&self, tenant: TenantId, id: MediaId, deed: Deed) -> Result<bool, Error> {
        self.write("remove_media", self.inner.remove_media(tenant, id, deed))
            .await
    }

    async fn end_media(&self, now: Timestamp, limit: usize) -> Result<Vec<(TenantId, MediaId)>, Error> {
        self.write("end_media", self.inner.end_media(now, limit)).await
    }

    async fn forget_media(&self, ids: Vec<MediaId>) -> Result<(), Error> {
        self.write("forget_media", self.inner.forget_media(ids)).await
    }
}

#[async_trait]
impl Registry for FaultyStore {
    async fn identify(
        &self,
        tenant: TenantId,
        kind: Named,
        names: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<i64>, Error> {
        let work = async {
            let ids = self.inner.identify(tenant, kind, names.clone(), now).await?;
            if kind == Named::Endpoint {
                self.world.ledger().named(&names, &ids);
            }
            Ok(ids)
        };
        self.write("identify", work).await
    }

    async fn signing_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        fresh: SigningSecrets,
    ) -> Result<SigningSecrets, Error> {
        self.write(
            "signing_secrets",
            self.inner.signing_secrets(tenant, endpoint, fresh),
        )
        .await
    }

    async fn retiring_secrets(&self, endpoint: EndpointId) -> Result<Vec<Retiring>, Error> {
        self.read("retiring_secrets", self.inner.retiring_secrets(endpoint))
            .await
    }

    async fn rotate_secrets(
        &self,
        tenant: TenantId,
        endpoint: EndpointId,
        rotation: Rotation,
    ) -> Result<(), Error> {
        self.write(
            "rotate_secrets",
            self.inner.rotate_secrets(tenant, endpoint, rotation),
        )
        .await
    }

    async fn set_disabled(&self, endpoint: EndpointId, disabled: Option<Disabled>) -> Result<(), Error> {
        self.write("set_disabled", self.inner.set_disabled(endpoint, disabled))
            .await
    }

    async fn disabled(&self) -> Result<Vec<(EndpointId, Disabled)>, Error> {
        self.read("disabled", self.inner.disabled()).await
    }

    async fn set_failing(&self, failing: &[(EndpointId, Option<Failing>)]) -> Result<(), Error> {
        self.write("set_failing", self.inner.set_failing(failing)).await
    }

    async fn failing(&self) -> Result<Vec<(EndpointId, Failing)>, Error> {
        self.read("failing", self.inner.failing()).await
    }
}

#[async_trait]
impl KeyRing for FaultyStore {
    async fn add_key(&self, key: Key) -> Result<(), Error> {
        self.write("add_key", self.inner.add_key(key)).await
    }

    async fn keys(&self) -> Result<Vec<Key>, Error> {
        self.read("keys", self.inner.keys()).await
    }

    async fn keys_of(&self, tenant: TenantId, filter: KeyFilter, page: Page) -> Result<Listed<Key>, Error> {
        self.read("keys_of", self.inner.keys_of(tenant, filter, page))
            .await
    }

    async fn key(&self, tenant: TenantId, id: KeyId) -> Result<Option<Key>, Error> {
        self.read("key", self.inner.key(tenant, id)).await
    }

    async fn count_keys(&self, tenant: TenantId, now: Timestamp) -> Result<KeyCount, Error> {
        self.read("count_keys", self.inner.count_keys(tenant, now)).await
    }

    async fn rename_key(&self, tenant: TenantId, id: KeyId, name: String) -> Result<bool, Error> {
        self.write("rename_key", self.inner.rename_key(tenant, id, name))
            .await
    }

    async fn revoke_key(&self, tenant: TenantId, id: KeyId, now: Timestamp) -> Result<bool, Error> {
        self.write("revoke_key", self.inner.revoke_key(tenant, id, now))
            .await
    }

    async fn forget_keys(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.inner.forget_keys(before, limit).await
    }
}

/// No tenant of a simulation keeps for less time than the store.
#[async_trait]
impl Expiry for FaultyStore {
    async fn expire(&self, kept_since: Vec<(TenantId, Timestamp)>, limit: usize) -> Result<Pruned, Error> {
        self.write("expire", self.inner.expire(kept_since, limit)).await
    }

    async fn expire_overdue(
        &self,
        kept_since: Vec<(TenantId, Timestamp)>,
        after: EventId,
        limit: usize,
    ) -> Result<(Pruned, Option<EventId>), Error> {
        self.write(
            "expire_overdue",
            self.inner.expire_overdue(kept_since, after, limit),
        )
        .await
    }
}

/// No tenant of a simulation is limited.
#[async_trait]
impl Metering for FaultyStore {
    async fn meter(&self, tenants: Vec<TenantId>, now: Timestamp) -> Result<Vec<(TenantId, Usage)>, Error> {
        self.inner.meter(tenants, now).await
    }

    async fn meter_only(&self, tenants: Vec<TenantId>) -> Result<(), Error> {
        self.inner.meter_only(tenants).await
    }

    async fn usage(&self) -> Result<Vec<(TenantId, Usage)>, Error> {
        self.inner.usage().await
    }

    async fn owner(&self, owned: Owned) -> Result<Option<TenantId>, Error> {
        self.inner.owner(owned).await
    }
}

/// No endpoint of a simulation has a plugin, so this is only passed on.
#[async_trait]
impl Uploads for FaultyStore {
    async fn uploaded(&self) -> Result<Vec<Uploaded>, Error> {
        self.inner.uploaded().await
    }

    async fn change_plugin(&self, change: PluginChange, deed: Deed) -> Result<(), Error> {
        self.inner.change_plugin(change, deed).await
    }

    async fn about(&self, tenant: TenantId, name: &str, version: Version) -> Result<Option<String>, Error> {
        self.inner.about(tenant, name, version).await
    }

    async fn component(
        &self,
        tenant: TenantId,
        name: &str,
        version: Version,
    ) -> Result<Option<Bytes>, Error> {
        self.inner.component(tenant, name, version).await
    }
}

#[async_trait]
impl Resources for FaultyStore {
    fn fresh_id(&self, now: Timestamp) -> i64 {
        self.inner.fresh_id(now)
    }

    async fn save(&self, resource: Resource, deed: Option<Deed>) -> Result<Saved, Error> {
        self.write("save", self.inner.save(resource, deed)).await
    }

    async fn resource(&self, tenant: TenantId, kind: Kind, id: i64) -> Result<Option<Resource>, Error> {
        self.read("resource", self.inner.resource(tenant, kind, id)).await
    }

    async fn resources(
        &self,
        tenant: TenantId,
        kind: Kind,
        which: Which,
        page: Page,
    ) -> Result<Listed<Resource>, Error> {
        self.read("resources", self.inner.resources(tenant, kind, which, page))
            .await
    }

    async fn living(&self) -> Result<Vec<Resource>, Error> {
        self.read("living", self.inner.living()).await
    }

    async fn is_deleted(&self, id: i64) -> Result<bool, Error> {
        self.read("is_deleted", self.inner.is_deleted(id)).await
    }

    async fn forget_resources(
        &self,
        deleted_before: Timestamp,
        kept_max: usize,
        limit: usize,
    ) -> Result<usize, Error> {
        self.write(
            "forget_resources",
            self.inner.forget_resources(deleted_before, kept_max, limit),
        )
        .await
    }
}

#[async_trait]
impl RuleState for FaultyStore {
    async fn due_timers(&self, now: Timestamp, limit: usize) -> Result<DueTimers, Error> {
        self.read("due_timers", self.inner.due_timers(now, limit)).await
    }

    async fn cancel_timers(&self, timers: Vec<TimerId>) -> Result<(), Error> {
        self.write("cancel_timers", self.inner.cancel_timers(timers))
            .await
    }

    async fn last_value(&self, of: RuleVersion, key: &str) -> Result<Option<String>, Error> {
        self.read("last_value", self.inner.last_value(of, key)).await
    }

    async fn rule_keys(
        &self,
        tenant: TenantId,
        of: RuleVersion,
        after: Option<(String, i64)>,
        limit: usize,
    ) -> Result<Vec<KeptKey>, Error> {
        self.read("rule_keys", self.inner.rule_keys(tenant, of, after, limit))
            .await
    }

    async fn kept_versions(&self, rule: Option<RuleId>) -> Result<Vec<RuleVersion>, Error> {
        self.read("kept_versions", self.inner.kept_versions(rule)).await
    }

    async fn forget_version(&self, of: RuleVersion, limit: usize) -> Result<usize, Error> {
        self.write("forget_version", self.inner.forget_version(of, limit))
            .await
    }

    fn rule_losses(&self) -> RuleLosses {
        self.inner.rule_losses()
    }
}

#[async_trait]
impl Audit for FaultyStore {
    async fn note(&self, deed: Deed) -> Result<(), Error> {
        self.write("note", self.inner.note(deed)).await
    }

    async fn noted(&self, tenant: TenantId, filter: AuditFilter, page: Page) -> Result<Listed<Entry>, Error> {
        self.read("noted", self.inner.noted(tenant, filter, page)).await
    }

    async fn chain(&self, tenant: TenantId, after: u64, limit: usize) -> Result<Chain, Error> {
        self.read("chain", self.inner.chain(tenant, after, limit)).await
    }

    async fn forget_notes(&self, before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.write("forget_notes", self.inner.forget_notes(before, limit))
            .await
    }
}

#[async_trait]
impl Monitoring for FaultyStore {
    async fn add_counts(&self, counts: &[(Bucket, Counts)]) -> Result<(), Error> {
        self.write("add_counts", self.inner.add_counts(counts)).await
    }

    async fn counts(&self, asked: CountsAsked) -> Result<BTreeMap<i64, Counts>, Error> {
        self.read("counts", self.inner.counts(asked)).await
    }

    async fn forget_counts(&self, step: CountStep, before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.write("forget_counts", self.inner.forget_counts(step, before, limit))
            .await
    }

    async fn pending(&self, endpoint: EndpointId) -> Result<Pending, Error> {
        self.read("pending", self.inner.pending(endpoint)).await
    }

    async fn expected(&self, asked: ExpectedAsked) -> Result<ExpectedPage, Error> {
        self.read("expected", self.inner.expected(asked)).await
    }

    async fn unfetched(
        &self,
        endpoint: EndpointId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<Unfetched>, Error> {
        self.read("unfetched", self.inner.unfetched(endpoint, after, limit))
            .await
    }

    async fn fetched(
        &self,
        endpoint: EndpointId,
        deliveries: Vec<DeliveryId>,
        now: Timestamp,
    ) -> Result<usize, Error> {
        self.write("fetched", self.inner.fetched(endpoint, deliveries, now))
            .await
    }

    async fn set_firing(&self, of: FiringOf, firing: Option<Firing>) -> Result<(), Error> {
        self.write("set_firing", self.inner.set_firing(of, firing)).await
    }

    async fn firing(&self) -> Result<Vec<(FiringOf, Firing)>, Error> {
        self.read("firing", self.inner.firing()).await
    }
}

#[async_trait]
impl Replies for FaultyStore {
    async fn claim_name(
        &self,
        name: RequestName,
        fingerprint: Fingerprint,
        now: Timestamp,
    ) -> Result<Claimed, Error> {
        self.write("claim_name", self.inner.claim_name(name, fingerprint, now))
            .await
    }

    async fn keep_reply(&self, name: RequestName, reply: Reply) -> Result<(), Error> {
        self.write("keep_reply", self.inner.keep_reply(name, reply)).await
    }

    async fn free_name(&self, name: RequestName) -> Result<(), Error> {
        self.write("free_name", self.inner.free_name(name)).await
    }

    async fn forget_replies(&self, claimed_before: Timestamp, limit: usize) -> Result<usize, Error> {
        self.write("forget_replies", self.inner.forget_replies(claimed_before, limit))
            .await
    }
}

#[async_trait]
impl PluginState for FaultyStore {
    async fn state_value(&self, scope: &Scope, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, Error> {
        self.inner.state_value(scope, key, now).await
    }

    async fn set_state(
        &self,
        scope: &Scope,
        key: &str,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<()>, Error> {
        self.inner.set_state(scope, key, value, expires, now).await
    }

    async fn delete_state(&self, scope: &Scope, key: &str) -> Result<(), Error> {
        self.inner.delete_state(scope, key).await
    }

    async fn claim_state(
        &self,
        scope: &Scope,
        key: &str,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        self.inner.claim_state(scope, key, expires, now).await
    }

    async fn add_state(
        &self,
        scope: &Scope,
        key: &str,
        delta: i64,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<i64>, Error> {
        self.inner.add_state(scope, key, delta, expires, now).await
    }

    async fn swap_state(
        &self,
        scope: &Scope,
        key: &str,
        expected: Option<Vec<u8>>,
        value: Vec<u8>,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Written<bool>, Error> {
        self.inner
            .swap_state(scope, key, expected, value, expires, now)
            .await
    }

    async fn state_keys(
        &self,
        scope: &Scope,
        prefix: &str,
        after: Option<String>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Vec<String>, Error> {
        self.inner.state_keys(scope, prefix, after, limit, now).await
    }
}
