//! `relay plugin test`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use super::build::{ended, say};
use super::diff;
use super::host::Host;
use super::subject::{Component, Subject};
use super::watch::Watch;
use crate::config::parse_duration;
use crate::model::plugin::Limits;
use crate::plugins::fixtures::{Fixture, Found, Trial, bless, comparable, fits};
use crate::plugins::{Bound, Plugins};

/// Lines of a difference that are shown.
const DIFF_LINES_MAX: usize = 60;

#[derive(Debug, Args)]
pub(in crate::cli) struct Test {
    /// The folder of a plugin's source, a component, or a stock plugin's name
    #[arg(default_value = ".")]
    plugin: String,
    /// Where the fixtures are, in place of the plugin's own `tests`
    #[arg(long, value_name = "FOLDER")]
    fixtures: Option<PathBuf>,
    /// Writes what was found into the fixtures that do not hold
    #[arg(long)]
    bless: bool,
    /// Runs again whenever something is saved
    #[arg(long)]
    watch: bool,
    /// How long a call may take, in place of the 50 ms that it has in a relay
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout: Option<Duration>,
    /// What the order is drawn by in which fixtures run on one instance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// For machines
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("{text:?} is no duration; write one such as 200ms"))
}

/// A fixture that was run.
struct Played {
    path: PathBuf,
    fixture: Fixture,
    found: Found,
    holds: bool,
    /// Whether the same came of it on an instance that had served others; `None` where no instance
    /// serves several.
    reused: Option<Found>,
}

/// What came of all of them.
struct Report {
    name: String,
    played: Vec<Played>,
    /// Hooks that no fixture is for.
    uncovered: Vec<&'static str>,
}

impl Test {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let subject = Subject::of(&self.plugin)?;
        let host = Host::new()?;
        if !self.watch {
            return Ok(ended(self.once(&subject, &host).await?));
        }
        let mut watch = Watch::start(subject.watched()?)?;
        loop {
            // What cannot be run now will after the next change.
            if let Err(error) = self.once(&subject, &host).await {
                say(&format!("{error:#}"));
            }
            watch.changed().await;
        }
    }

    /// Whether all is well.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn once(&self, subject: &Subject, host: &Host) -> anyhow::Result<bool> {
        // First: what is wrong with them need not wait for a build.
        let fixtures = self.fixtures(subject)?;
        let component = subject.component().await?;
        let report = self.play(component, fixtures, host).await?;
        if self.bless {
            report.bless()?;
        }
        match self.json {
            true => println!("{}", serde_json::to_string_pretty(&report.json())?),
            false => println!("{}", report.text(self.bless)),
        }
        Ok(report.is_well(self.bless))
    }

    fn folder(&self, subject: &Subject) -> anyhow::Result<PathBuf> {
        match (&self.fixtures, subject) {
            (Some(folder), _) => Ok(folder.clone()),
            (None, Subject::Project(project)) => Ok(project.fixtures()),
            (None, Subject::Component { .. }) => {
                bail!("a component has no fixtures beside it: name their folder with --fixtures")
            }
        }
    }

    fn fixtures(&self, subject: &Subject) -> anyhow::Result<Vec<(PathBuf, Fixture)>> {
        let folder = self.folder(subject)?;
        let fixtures = Fixture::read_all(&folder)?;
        if fixtures.is_empty() {
            bail!(
                "{} holds no fixture, a file such as keeps-an-order.json",
                folder.display()
            );
        }
        Ok(fixtures)
    }

    async fn play(
        &self,
        component: Component,
        fixtures: Vec<(PathBuf, Fixture)>,
        host: &Host,
    ) -> anyhow::Result<Report> {
        let inspection = Plugins::inspect(&component.bytes, &component.name)
            .map_err(|why| anyhow::anyhow!("{} {why}", component.name))?;
        let usual = Limits::default();
        let trial = Trial {
            plugins: host.plugins.clone(),
            state: host.state.clone(),
            clock: host.clock.clone(),
            name: component.name.clone(),
            component: component.bytes,
            limits: Limits {
                time: self.timeout.unwrap_or(usual.time),
                ..usual
            },
            replies: Arc::default(),
        };
        let mut played = Vec::with_capacity(fixtures.len());
        for (path, fixture) in fixtures {
            let found = match trial.bind(&fixture, false).await? {
                Ok(bound) if fixture.step > 1 => trial.play_on(&fixture, &bound).await,
                Ok(bound) => trial.play(&fixture, &bound).await,
                Err(refused) => refused,
            };
            let expected = fixture.expect.as_ref().unwrap_or(&Value::Null);
            played.push(Played {
                holds: fits(expected, &found.shown),
                path,
                fixture,
                found,
                reused: None,
            });
        }
        if inspection.manifest.reuse {
            self.play_again(&trial, &mut played).await?;
        }
        let covered = |hook: &&str| {
            let of = |played: &Played| played.fixture.hook.map(|hook| hook.interface());
            played.iter().any(|played| of(played) == Some(*hook))
        };
        let uncovered = inspection.hooks.names().filter(|hook| !covered(hook)).collect();
        Ok(Report {
            name: component.name,
            played,
            uncovered,
        })
    }

    /// Runs those that the author lets one instance serve on one instance, in an order drawn by lot.
    async fn play_again(&self, trial: &Trial, played: &mut [Played]) -> anyhow::Result<()> {
        // A list has an order of its own.
        let is_alone = |at: &usize| played[*at].fixture.step == 0;
        let mut order: Vec<usize> = (0..played.len()).filter(is_alone).collect();
        order.shuffle(&mut StdRng::seed_from_u64(self.seed));
        // An instance serves one configuration with its secrets.
        let mut bounds: Vec<(usize, Bound)> = Vec::new();
        for at in order {
            let fixture = &played[at].fixture;
            let is_alike =
                |other: &Fixture| (&other.config, &other.secrets) == (&fixture.config, &fixture.secrets);
            let known = bounds.iter().find(|(like, _)| is_alike(&played[*like].fixture));
            let bound = match known {
                Some((_, bound)) => bound.clone(),
                None => match trial.bind(fixture, true).await? {
                    Ok(bound) => {
                        bounds.push((at, bound.clone()));
                        bound
                    }
                    Err(_) => continue,
                },
            };
            let again = trial.play(fixture, &bound).await;
            played[at].reused = Some(again);
        }
        Ok(())
    }
}

impl Played {
    fn name(&self) -> String {
        let name = self.path.file_stem().unwrap_or_default().to_string_lossy();
        match self.fixture.step {
            0 => name.into_owned(),
            step => format!("{name}, {step}"),
        }
    }

    fn hook(&self) -> &'static str {
        self.fixture.hook.map_or("", |hook| hook.interface())
    }

    fn expected(&self) -> &Value {
        self.fixture.expect.as_ref().unwrap_or(&Value::Null)
    }

    /// Whether an instance that had served others did as a fresh one.
    fn is_same_again(&self) -> bool {
        self.reused
            .as_ref()
            .is_none_or(|again| again.shown == self.found.shown)
    }

    fn lines(&self) -> Vec<String> {
        let word = if self.holds { "ok    " } else { "FAILED" };
        let took = self.found.took.as_secs_f64() * 1e3;
        let mut lines = vec![format!(
            "{word} {:12} {} ({took:.2} ms)",
            self.hook(),
            self.name()
        )];
        if !self.holds {
            let expected = self.expected();
            let found = comparable(expected, &self.found.shown, &self.found.brief);
            lines.push("  - expected  + found".to_owned());
            let diff = diff::lines(expected, &found, DIFF_LINES_MAX);
            lines.extend(diff.into_iter().map(|line| format!("  {line}")));
            lines.extend(self.found.log.iter().map(|line| format!("  log: {line}")));
        }
        if let Some(again) = self.reused.as_ref().filter(|_| !self.is_same_again()) {
            lines.push(format!(
                "FAILED {:12} {} on an instance that had served others",
                self.hook(),
                self.name()
            ));
            lines.push("  - on a fresh instance  + on that one".to_owned());
            let diff = diff::lines(&self.found.brief, &again.brief, DIFF_LINES_MAX);
            lines.extend(diff.into_iter().map(|line| format!("  {line}")));
        }
        lines
    }
}

impl Report {
    fn failed(&self) -> usize {
        self.played.iter().filter(|played| !played.holds).count()
    }

    fn differing(&self) -> usize {
        self.played
            .iter()
            .filter(|played| !played.is_same_again())
            .count()
    }

    fn is_well(&self, is_blessed: bool) -> bool {
        (is_blessed || self.failed() == 0) && self.differing() == 0
    }

    /// Writes what was found where it was not expected.
    fn bless(&self) -> anyhow::Result<()> {
        for played in self.played.iter().filter(|played| !played.holds) {
            let path = played.path.display();
            if played.fixture.step > 0 {
                bail!(
                    "{path} holds a list, of which none can be written anew by itself: say there what is expected"
                );
            }
            let text =
                std::fs::read_to_string(&played.path).with_context(|| format!("cannot read {path}"))?;
            let blessed =
                bless(&text, &played.found.brief).with_context(|| format!("{path} has no `expect`"))?;
            std::fs::write(&played.path, blessed).with_context(|| format!("cannot write {path}"))?;
        }
        Ok(())
    }

    fn text(&self, is_blessed: bool) -> String {
        let mut lines: Vec<_> = self.played.iter().flat_map(Played::lines).collect();
        let (count, failed) = (self.played.len(), self.failed());
        let verdict = match (failed, is_blessed) {
            (0, _) => format!("{}: {count} fixtures hold", self.name),
            (_, true) => format!(
                "{}: {failed} of {count} fixtures now expect what was found",
                self.name
            ),
            _ => format!("{}: {failed} of {count} fixtures do not hold", self.name),
        };
        lines.push(verdict);
        let again = self
            .played
            .iter()
            .filter(|played| played.reused.is_some())
            .count();
        match self.differing() {
            _ if again == 0 => {}
            0 => lines.push(format!("the same came of {again} of them on instances that served several")),
            differing => lines.push(format!(
                "{differing} depend on what their instance served before: keep nothing between events, or leave `reuse` out of plugin.toml"
            )),
        }
        if !self.uncovered.is_empty() {
            lines.push(format!("no fixture is for: {}", self.uncovered.join(", ")));
        }
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let fixtures = self.played.iter().map(|played| {
            json!({
                "file": played.path,
                "hook": played.hook(),
                "holds": played.holds,
                "same_when_reused": played.reused.as_ref().map(|_| played.is_same_again()),
                "took_us": u64::try_from(played.found.took.as_micros()).unwrap_or(u64::MAX),
                "expected": played.expected(),
                "found": played.found.brief,
                "log": played.found.log,
            })
        });
        json!({
            "plugin": self.name,
            "failed": self.failed(),
            "fixtures": fixtures.collect::<Vec<_>>(),
            "uncovered_hooks": self.uncovered,
        })
    }
}
