//! Reads one module: what it imports and exports, and which powers it names.

use oxc_allocator::Allocator;
use oxc_ast::ast::{Expression, IdentifierReference, Program, StaticMemberExpression};
use oxc_ast_visit::{Visit, walk};
use oxc_parser::Parser;
use oxc_span::SourceType;
use oxc_syntax::module_record::{ExportExportName, ImportImportName, ModuleRecord};

use crate::sdk;
use crate::{Error, Place, types};

/// A module that was read.
pub(crate) struct Source {
    /// What QuickJS is given: JavaScript, line by line as it was written.
    pub(crate) text: String,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<String>,
    pub(crate) powers: Vec<&'static str>,
}

/// What a module imports from.
pub(crate) struct Import {
    pub(crate) specifier: String,
    pub(crate) at: Place,
}

/// A file's name and text.
#[derive(Clone, Copy)]
pub(crate) struct File<'f> {
    pub(crate) name: &'f str,
    pub(crate) text: &'f str,
}

impl File<'_> {
    /// Where a byte of the text is.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Place {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
        }
    }

    pub(crate) fn error(&self, offset: u32, message: impl Into<String>) -> Error {
        Error::Source {
            at: self.place(offset as usize),
            message: message.into(),
        }
    }
}

impl Source {
    /// Reads a module.
    pub(crate) fn read(name: &str, text: &str) -> Result<Self, Error> {
        let file = File { name, text };
        let is_typescript = name.ends_with(".ts") || name.ends_with(".mts");
        let kind = match is_typescript {
            true => SourceType::ts().with_module(true),
            false => SourceType::mjs(),
        };
        let allocator = Allocator::default();
        let parsed = Parser::new(&allocator, text, kind).parse();
        if let Some(wrong) = parsed.diagnostics.errors().next() {
            let at = wrong.labels.first().map_or(0, |label| label.offset());
            let help = wrong
                .help
                .as_ref()
                .map(|help| format!(" ({help})"))
                .unwrap_or_default();
            return Err(file.error(at, format!("{}{help}", wrong.message)));
        }
        let record = &parsed.module_record;
        if let Some(dynamic) = record.dynamic_imports.first() {
            return Err(file.error(
                dynamic.span.start,
                "import() is not there in a plugin; write import … from \"…\" at the top of the file",
            ));
        }
        let text = match is_typescript {
            true => types::strip(file, &parsed.program)?,
            false => text.to_owned(),
        };
        Ok(Self {
            text,
            imports: imports(file, record),
            exports: exports(record),
            powers: powers(file, &parsed.program, record)?,
        })
    }
}

fn imports(file: File<'_>, record: &ModuleRecord<'_>) -> Vec<Import> {
    let mut imports = Vec::new();
    for (specifier, requests) in &record.requested_modules {
        if let Some(first) = requests.iter().find(|request| !request.is_type) {
            imports.push(Import {
                specifier: specifier.to_string(),
                at: file.place(first.span.start as usize),
            });
        }
    }
    imports.sort_by_key(|import| (import.at.line, import.at.column));
    imports
}

fn exports(record: &ModuleRecord<'_>) -> Vec<String> {
    let entries = record
        .local_export_entries
        .iter()
        .chain(&record.indirect_export_entries);
    let values = entries.filter(|entry| !entry.is_type);
    values
        .filter_map(|entry| match &entry.export_name {
            ExportExportName::Name(name) => Some(name.name.to_string()),
            _ => None,
        })
        .collect()
}

/// The powers that are named: `import { state } from "@relay/plugin"`, or `relay.state` after
/// `import * as relay from "@relay/plugin"`.
fn powers(
    file: File<'_>,
    program: &Program<'_>,
    record: &ModuleRecord<'_>,
) -> Result<Vec<&'static str>, Error> {
    let mut powers = Vec::new();
    let mut whole = Vec::new();
    for import in &record.import_entries {
        if import.is_type || import.module_request.name != sdk::MODULE {
            continue;
        }
        match &import.import_name {
            ImportImportName::Name(name) => powers.extend(power(&name.name)),
            ImportImportName::NamespaceObject => whole.push(import.local_name.name.to_string()),
            ImportImportName::Default(span) => {
                return Err(file.error(
                    span.start,
                    "@relay/plugin has no default export; write import * as relay from \"@relay/plugin\"",
                ));
            }
        }
    }
    for entry in record
        .indirect_export_entries
        .iter()
        .chain(&record.star_export_entries)
    {
        let request = entry.module_request.as_ref();
        if !entry.is_type && request.is_some_and(|request| request.name == sdk::MODULE) {
            return Err(file.error(entry.statement_span.start, NOT_PASSED_ON));
        }
    }
    let mut uses = Uses {
        of: &whole,
        powers,
        elsewhere: None,
    };
    uses.visit_program(program);
    match uses.elsewhere {
        Some(at) => Err(file.error(at, NOT_PASSED_ON)),
        None => Ok(uses.powers),
    }
}

/// Which powers a plugin needs has to be seen without running it.
const NOT_PASSED_ON: &str = "@relay/plugin cannot be passed on as a whole; name what is used of it, as in \
                             relay.state, so that it can be seen which powers the plugin needs";

fn power(name: &str) -> Option<&'static str> {
    sdk::POWERS.into_iter().find(|power| *power == name)
}

/// Finds what follows the names under which the SDK was imported.
struct Uses<'u> {
    of: &'u [String],
    powers: Vec<&'static str>,
    /// Where such a name stands for itself.
    elsewhere: Option<u32>,
}

impl<'a> Visit<'a> for Uses<'_> {
    fn visit_static_member_expression(&mut self, it: &StaticMemberExpression<'a>) {
        match &it.object {
            Expression::Identifier(object) if self.is_whole(&object.name) => {
                self.powers.extend(power(&it.property.name));
            }
            _ => walk::walk_static_member_expression(self, it),
        }
    }

    fn visit_identifier_reference(&mut self, it: &IdentifierReference<'a>) {
        if self.is_whole(&it.name) {
            self.elsewhere.get_or_insert(it.span.start);
        }
    }

    // Types are not there when it runs.
    fn visit_ts_type(&mut self, _: &oxc_ast::ast::TSType<'a>) {}
}

impl Uses<'_> {
    fn is_whole(&self, name: &str) -> bool {
        self.of.iter().any(|whole| whole == name)
    }
}
