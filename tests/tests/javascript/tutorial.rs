//! `docs/writing-plugins-javascript.md`: its files are written and its commands run, in order.

use std::path::Path;

use relay_tests::instance::Setup;

use crate::author::{Workshop, words};
use crate::kit::{built, project};

const PAGE: &str = include_str!("../../../docs/writing-plugins-javascript.md");

/// A block of code, and the file that the line before it names.
struct Block {
    language: String,
    file: Option<String>,
    text: String,
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = PAGE.lines();
    let mut said = String::new();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.is_empty() {
                said = line.to_owned();
            }
            continue;
        };
        let text = lines.by_ref().take_while(|line| *line != "```");
        let text: String = text.map(|line| format!("{line}\n")).collect();
        let named = said.strip_suffix("`:").and_then(|said| said.rsplit('`').next());
        blocks.push(Block {
            language: language.to_owned(),
            file: named.map(str::to_owned),
            text,
        });
        said = String::new();
    }
    blocks
}

#[tokio::test]
async fn the_tutorial_does_what_it_says() {
    let relay = Setup::new("").start().await;
    let workshop = Workshop::new(&relay);
    let (mut commands, mut files) = (0, 0);
    for block in blocks() {
        match (&block.file, block.language.as_str()) {
            (Some(file), _) => {
                if let Ok(present) = std::fs::read_to_string(workshop.path(file))
                    && files == 0
                {
                    assert_eq!(present, block.text, "{file} is as the page shows it");
                }
                workshop.write(file, &block.text);
                files += 1;
            }
            (None, "sh") => {
                for line in block.text.lines() {
                    let arguments = words(line.strip_prefix("relay ").expect("a command of the relay"));
                    workshop
                        .done(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
                        .await;
                    commands += 1;
                }
            }
            _ => {}
        }
    }
    assert!(commands >= 7 && files >= 7, "{commands} commands, {files} files");
    let pushed = relay.read("/v1/plugins/only-paid").await;
    assert_eq!(pushed["name"], "only-paid", "{pushed}");
}

#[test]
fn what_the_tutorial_shows_builds() {
    let mut count = 0;
    for block in blocks() {
        let is_plugin =
            block.file.is_none() && block.language == "js" && block.text.contains("export function");
        if is_plugin {
            let folder = project(&[("src/plugin.js", &block.text)]);
            built(folder.path(), "src/plugin.js").unwrap_or_else(|error| panic!("{error}\n{}", block.text));
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/writing-plugins.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    assert!(
        page.contains("writing-plugins-javascript.md"),
        "nothing leads here"
    );
}
