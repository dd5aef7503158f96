//! `relay apply`

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::check::Faulty;
use super::client::{Access, Answer};
use super::packs::{self, Filled, Pack};
use crate::config::document;
use crate::config::key_path::KeyPath;
use crate::config::reader::{Fault, Process, Surroundings, referred};
use crate::model::resource::Kind;

/// What holds JSON of others: a table in there is never a reference to a secret.
const NO_REFERENCES: [&str; 4] = ["filter", "config", "schema", "sample"];

#[derive(Debug, Args)]
pub(super) struct Apply {
    /// A file in the format of the configuration, `-` for stdin, or `pack:NAME`
    #[arg(long, short, value_name = "FILE")]
    file: String,
    /// What a pack is to put in, as NAME=VALUE or NAME=@FILE
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// Deletes what the file does not have, of the kinds that are in it; not what the relay's
    /// configuration file declares
    #[arg(long)]
    prune: bool,
    /// Shows what would be done, and does nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
}

/// What is to be done about one resource, as the relay says.
#[derive(Debug, Deserialize)]
struct Planned {
    kind: String,
    name: String,
    step: String,
    keys: Vec<String>,
    index: Option<usize>,
    id: Option<String>,
    revision: Option<u64>,
}

impl Apply {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let document = document::read(&self.text()?).map_err(|faults| self.faulty(faults))?;
        if packs::is_pack(&document) {
            self.apply_pack(document).await?;
        } else if self.set.is_empty() {
            let document = self.checked(document)?;
            self.put(&document, &self.plan(&document).await?).await?;
        } else {
            bail!("{} has no table [pack], so there is nothing to set", self.file);
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn apply_pack(&self, document: Map<String, Value>) -> anyhow::Result<()> {
        let filled = packs::fill(&self.file, document, &self.set, &self.access).await?;
        let Filled {
            document,
            is_declared,
            pack,
        } = filled;
        let document = self.checked(document)?;
        let steps = self.plan(&document).await.map_err(|error| match is_declared {
            true => error.context(format!(
                "the relay's configuration file declares the source {:?}; give that of the pack another name with \
                 --set source=NAME",
                pack.source
            )),
            false => error,
        })?;
        self.refuse_foreign(&document, &steps).await?;
        self.put(&document, &steps).await?;
        if !self.dry_run && steps.iter().any(|step| step.step != "keep") {
            self.say_next(&pack).await?;
        }
        Ok(())
    }

    fn text(&self) -> anyhow::Result<String> {
        if let Some(name) = self.file.strip_prefix("pack:") {
            return packs::text(name);
        }
        if self.file != "-" {
            return std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {}", self.file));
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read stdin")?;
        Ok(text)
    }

    /// The document with the secrets that it refers to, once everything in it can be applied.
    fn checked(&self, mut document: Map<String, Value>) -> anyhow::Result<Map<String, Value>> {
        let mut faults = Vec::new();
        check_sections(&document, &mut faults);
        for (section, tables) in &mut document {
            dereference(tables, &KeyPath::default().key(section), &Process, &mut faults);
        }
        if faults.is_empty() {
            Ok(document)
        } else {
            Err(self.faulty(faults).into())
        }
    }

    fn faulty(&self, faults: Vec<Fault>) -> Faulty {
        let place = if self.file == "-" {
            "stdin".to_owned()
        } else {
            self.file.clone()
        };
        Faulty { place, faults }
    }

    /// Makes the relay as a document says, or shows what that would take.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn put(&self, document: &Map<String, Value>, steps: &[Planned]) -> anyhow::Result<()> {
        for step in steps {
            if !self.dry_run {
                self.carry_out(step, document)
                    .await
                    .with_context(|| format!("{} {}", step.kind, step.name))?;
            }
            println!("{}", line(step));
        }
        println!("{}", summary(steps, self.dry_run));
        Ok(())
    }

    /// Two platforms may call different things by the same name: a pack takes no event type over
    /// that is not its own.
    async fn refuse_foreign(&self, document: &Map<String, Value>, steps: &[Planned]) -> anyhow::Result<()> {
        let section = Kind::EventType.section();
        let is_taken = |step: &&Planned| step.kind == section && step.step == "change";
        for step in steps.iter().filter(is_taken) {
            let path = format!("/v1/event-types/{}", step.id.as_deref().unwrap_or_default());
            let there = self.access.read(&path).await?.json()?;
            let own = step
                .index
                .and_then(|index| document.get(section)?.get(index)?.get("group"));
            if own != there.get("group") {
                bail!(
                    "the event type {:?} is there already, of the group {}; nothing was changed. To tell the two apart, \
                     give these a name of their own with --set prefix=NAME.",
                    step.name,
                    there["group"]
                );
            }
        }
        Ok(())
    }

    async fn plan(&self, document: &Map<String, Value>) -> anyhow::Result<Vec<Planned>> {
        let path = format!("/v1/definitions/plan?prune={}", self.prune);
        let document = Value::Object(document.clone());
        let answer = self.access.change("POST", &path, None, Some(&document)).await?;
        if answer.status == 422 {
            return Err(self.faulty(faults(&answer)).into());
        }
        let plan = answer.json()?;
        Deserialize::deserialize(&plan["data"]).context("the relay's plan does not read")
    }

    async fn carry_out(&self, step: &Planned, document: &Map<String, Value>) -> anyhow::Result<()> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.section() == step.kind);
        let plural = kind
            .context("the relay knows more kinds than this program")?
            .plural();
        let body = step.index.and_then(|index| document.get(&step.kind)?.get(index));
        let path = format!("/v1/{plural}/{}", step.id.as_deref().unwrap_or_default());
        let answer = match step.step.as_str() {
            "create" => {
                self.access
                    .change("POST", &format!("/v1/{plural}"), None, body)
                    .await?
            }
            "change" => self.access.change("PUT", &path, step.revision, body).await?,
            "delete" => self.access.change("DELETE", &path, step.revision, None).await?,
            _ => return Ok(()),
        };
        if answer.status == 204 {
            Ok(())
        } else {
            answer.json().map(drop)
        }
    }

    /// What is left to do at the platform.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    async fn say_next(&self, pack: &Pack) -> anyhow::Result<()> {
        let path = format!("/v1/sources/{}", pack.source);
        let source = self.access.read(&path).await?.json()?;
        let path = source["path"].as_str().unwrap_or_default();
        println!("\n{}", pack.next(self.access.url.join(path)?.as_str()));
        Ok(())
    }
}

/// Only what can be changed while the relay runs can be applied.
fn check_sections(document: &Map<String, Value>, faults: &mut Vec<Fault>) {
    let known = Kind::ALL.map(Kind::section);
    for (section, value) in document {
        let (problem, remedy) = if !known.contains(&section.as_str()) {
            (
                "cannot be applied to a relay that runs",
                format!("known here: {}", known.join(", ")),
            )
        } else if !value
            .as_array()
            .is_some_and(|list| list.iter().all(Value::is_object))
        {
            ("is no list of tables", format!("write [[{section}]]"))
        } else {
            continue;
        };
        faults.push(Fault {
            path: KeyPath::default().key(section),
            problem: problem.to_owned(),
            remedy,
        });
    }
}

/// Puts secrets in the place of the references to them: the relay gives nothing of its machine to
/// those who write over the network.
fn dereference(value: &mut Value, path: &KeyPath, surroundings: &dyn Surroundings, faults: &mut Vec<Fault>) {
    match value {
        Value::Object(table) => {
            match referred(table, surroundings) {
                Some(Ok(secret)) => return *value = Value::String(secret),
                Some(Err((problem, remedy))) => {
                    return faults.push(Fault {
                        path: path.clone(),
                        problem,
                        remedy,
                    });
                }
                None => {}
            }
            for (key, below) in table {
                if !NO_REFERENCES.contains(&key.as_str()) {
                    dereference(below, &path.key(key), surroundings, faults);
                }
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter_mut().enumerate() {
                dereference(below, &path.item(index), surroundings, faults);
            }
        }
        _ => {}
    }
}

/// What the relay found wrong, with its place in the file.
fn faults(answer: &Answer) -> Vec<Fault> {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    errors
        .map(|error| Fault {
            path: KeyPath::default().at(&text(&error["pointer"])),
            problem: text(&error["message"]),
            remedy: String::new(),
        })
        .collect()
}

fn line(step: &Planned) -> String {
    let sign = match step.step.as_str() {
        "create" => '+',
        "change" => '~',
        "delete" => '-',
        _ => '=',
    };
    let mut line = format!("{sign} {} {}", step.kind, step.name);
    if !step.keys.is_empty() {
        // A string takes whatever is written into it.
        write!(line, ": {}", step.keys.join(", ")).ok();
    }
    line
}

fn summary(steps: &[Planned], is_dry: bool) -> String {
    let count = |wanted: &str| steps.iter().filter(|step| step.step == wanted).count();
    let (created, changed) = (count("create"), count("change"));
    let (deleted, kept) = (count("delete"), count("keep"));
    let tense = if is_dry { "to be done" } else { "done" };
    format!("{tense}: {created} created, {changed} changed, {deleted} deleted, {kept} as they were")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One variable and no files.
    struct Known;

    impl Surroundings for Known {
        fn variables(&self) -> Vec<(String, String)> {
            Vec::new()
        }

        fn variable(&self, name: &str) -> Option<String> {
            (name == "TOKEN").then(|| "t".to_owned())
        }

        fn file(&self, path: &str) -> Result<String, String> {
            Err(format!("{path} is not there"))
        }
    }

    #[test]
    fn references_are_followed_where_secrets_stand() {
        let mut tables = json!([{
            "headers": {"x": {"env": "TOKEN"}, "y": {"sealed": true}},
            "plugins": [{"config": {"env": "TOKEN"}, "secrets": {"a": {"env": "NONE"}, "b": {"file": "f"}}}],
            "filter": {"env": "TOKEN"},
        }]);
        let mut faults = Vec::new();
        dereference(
            &mut tables,
            &KeyPath::default().key("endpoint"),
            &Known,
            &mut faults,
        );
        assert_eq!(tables[0]["headers"], json!({"x": "t", "y": {"sealed": true}}));
        assert_eq!(tables[0]["filter"], json!({"env": "TOKEN"}));
        assert_eq!(tables[0]["plugins"][0]["config"], json!({"env": "TOKEN"}));
        let places: Vec<_> = faults.iter().map(|fault| fault.path.to_string()).collect();
        assert_eq!(
            places,
            [
                "endpoint[0].plugins[0].secrets.a",
                "endpoint[0].plugins[0].secrets.b"
            ]
        );
    }
}
