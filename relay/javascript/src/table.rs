//! Makes a start of QuickJS cheap: its table of functions becomes its own.
//!
//! Linked as a dynamic library, QuickJS imports the table and fills it when it is instantiated, function by
//! function, for every event: a large part of a call on a fresh instance. A table that a module defines,
//! and fills from a place that is known when it is compiled, wasmtime fills entry by entry at the first use.
//! So the module defines the table, at the place that the linker gave it, and all that used the other
//! use this one.

use anyhow::{Context as _, bail, ensure};
use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentSectionId, ConstExpr, ElementSection, Elements,
    ExportKind, ExportSection, ImportSection, InstanceSection, Module, ModuleArg, RawSection, SectionId,
    TableSection,
};
use wasmparser::{
    BinaryReader, ComponentAlias, ComponentAliasSectionReader, ElementItems, ElementKind,
    ElementSectionReader, ExportSectionReader, ExternalKind, GlobalSectionReader, ImportSectionReader,
    Instance, InstanceSectionReader, Operator, TableSectionReader, TableType, TypeRef,
};

/// What the linker calls the table and the memory that all libraries share.
const TABLE: &str = "__indirect_function_table";
const MEMORY: &str = "memory";
/// What it calls QuickJS's place in the table.
const BASE: &str = "quickjs.wasm:table_base";
/// Bytes before the first section: what it is, and of which version.
const HEADER_BYTES: usize = 8;

/// The component, in which QuickJS has the table.
///
/// # Errors
/// It is not as the linker makes them.
pub(crate) fn moved(component: &[u8]) -> anyhow::Result<Vec<u8>> {
    let layout = Layout::of(component)?;
    let mut made = Component::new();
    let (mut modules, mut instances) = (0, 0);
    for (id, content) in sections(component)? {
        if id == ComponentSectionId::CoreModule as u8 {
            let own = match modules == layout.quickjs {
                true => Some(layout.with_table(content)?),
                false => None,
            };
            let data = own.as_deref().unwrap_or(content);
            made.section(&RawSection { id, data });
            modules += 1;
        } else if id == ComponentSectionId::CoreInstance as u8 {
            let before = instances;
            made.section(&layout.instances(content, &mut instances)?);
            if (before..instances).contains(&layout.instance) {
                ensure!(
                    instances == layout.instance + 1,
                    "QuickJS is not instantiated last in its section"
                );
                let mut alias = ComponentAliasSection::new();
                alias.alias(Alias::CoreInstanceExport {
                    instance: layout.instance,
                    kind: ExportKind::Table,
                    name: TABLE,
                });
                made.section(&alias);
            }
        } else {
            made.section(&RawSection { id, data: content });
        }
    }
    Ok(made.finish())
}

/// How a component is put together.
struct Layout<'c> {
    modules: Vec<&'c [u8]>,
    /// The module that is QuickJS.
    quickjs: usize,
    /// The instance of it.
    instance: u32,
    /// The instance that has the table and the memory, and nothing else.
    owner: u32,
    table: TableType,
    /// QuickJS's place in the table.
    base: i32,
}

impl<'c> Layout<'c> {
    fn of(component: &'c [u8]) -> anyhow::Result<Self> {
        let (mut modules, mut instances, mut tables) = (Vec::new(), Vec::new(), Vec::new());
        for (id, content) in sections(component)? {
            if id == ComponentSectionId::CoreModule as u8 {
                modules.push(content);
            } else if id == ComponentSectionId::CoreInstance as u8 {
                for instance in InstanceSectionReader::new(BinaryReader::new(content, 0))? {
                    instances.push(instance?);
                }
            } else if id == ComponentSectionId::Alias as u8 {
                for alias in ComponentAliasSectionReader::new(BinaryReader::new(content, 0))? {
                    if let ComponentAlias::CoreInstanceExport {
                        kind: ExternalKind::Table,
                        instance_index,
                        name: TABLE,
                    } = alias?
                    {
                        tables.push(instance_index);
                    }
                }
            }
        }
        let &[owner] = tables.as_slice() else {
            bail!("{} tables are shared, not one", tables.len());
        };
        let of = |instance: &Instance<'_>| match instance {
            Instance::Instantiate { module_index, .. } => Some(*module_index as usize),
            Instance::FromExports(_) => None,
        };
        let mut quickjs = None;
        for (index, module) in modules.iter().enumerate() {
            if quickjs.is_none() && imports(module)?.any(|import| import.is_ok_and(|(_, name)| name == TABLE))
            {
                quickjs = Some(index);
            }
        }
        let quickjs = quickjs.context("no module imports the table")?;
        let instance = instances
            .iter()
            .position(|instance| of(instance) == Some(quickjs));
        let instance = instance.context("QuickJS is not instantiated")?;
        let owner_module = instances.get(owner as usize).and_then(of);
        let owner_module = owner_module.and_then(|index| modules.get(index));
        let owner_module = owner_module.context("the table is no module's")?;
        Ok(Self {
            quickjs,
            instance: u32::try_from(instance)?,
            owner,
            table: table_of(owner_module)?,
            base: constant(owner_module, BASE)?,
            modules,
        })
    }

    /// The module that is QuickJS with the table in it. It has the memory under its name, too, so that
    /// who needs both need not know of two instances.
    fn with_table(&self, module: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut same = RoundtripReencoder;
        let mut made = Module::new();
        for (id, content) in sections(module)? {
            let reader = BinaryReader::new(content, 0);
            if id == SectionId::Import as u8 {
                let mut section = ImportSection::new();
                for import in ImportSectionReader::new(reader)?.into_imports() {
                    let import = import?;
                    if import.name != TABLE {
                        same.parse_import(&mut section, import)?;
                    }
                }
                made.section(&section);
            } else if id == SectionId::Export as u8 {
                let mut section = ExportSection::new();
                for export in ExportSectionReader::new(reader)? {
                    same.parse_export(&mut section, export?)?;
                }
                section.export(TABLE, ExportKind::Table, 0);
                section.export(MEMORY, ExportKind::Memory, 0);
                made.section(&section);
            } else if id == SectionId::Element as u8 {
                made.section(&self.elements(ElementSectionReader::new(reader)?)?);
            } else {
                made.section(&RawSection { id, data: content });
            }
            if id == SectionId::Function as u8 {
                let mut section = TableSection::new();
                section.table(same.table_type(self.table)?);
                made.section(&section);
            }
        }
        Ok(made.finish())
    }

    /// The functions in the table, at a place that is known.
    fn elements(&self, section: ElementSectionReader<'_>) -> anyhow::Result<ElementSection> {
        let mut made = ElementSection::new();
        for element in section {
            let element = element?;
            let (ElementKind::Active { .. }, ElementItems::Functions(functions)) =
                (element.kind, element.items)
            else {
                bail!("QuickJS fills its table otherwise");
            };
            let functions = functions.into_iter().collect::<Result<Vec<_>, _>>()?;
            ensure!(made.is_empty(), "QuickJS fills its table in several parts");
            made.active(
                None,
                &ConstExpr::i32_const(self.base),
                Elements::Functions(functions.into()),
            );
        }
        Ok(made)
    }

    /// Instances, of which those after QuickJS get its table.
    fn instances(&self, content: &[u8], count: &mut u32) -> anyhow::Result<InstanceSection> {
        let mut same = RoundtripReencoder;
        let mut made = InstanceSection::new();
        for instance in InstanceSectionReader::new(BinaryReader::new(content, 0))? {
            let is_later = *count > self.instance;
            match instance? {
                Instance::Instantiate { module_index, args } => {
                    let args = args.iter().map(|arg| {
                        let index = match is_later && arg.index == self.owner {
                            true => self.in_place_of_owner(module_index, arg.name)?,
                            false => arg.index,
                        };
                        Ok((arg.name, ModuleArg::Instance(index)))
                    });
                    made.instantiate(module_index, args.collect::<anyhow::Result<Vec<_>>>()?);
                }
                Instance::FromExports(exports) => {
                    let exports = exports.iter().map(|export| {
                        // There was one table; there is one more.
                        let is_table = export.kind == ExternalKind::Table && export.index == 0;
                        let index = if is_later && is_table { 1 } else { export.index };
                        Ok((export.name, same.export_kind(export.kind)?, index))
                    });
                    made.export_items(exports.collect::<anyhow::Result<Vec<_>>>()?);
                }
            }
            *count += 1;
        }
        Ok(made)
    }

    /// QuickJS, for a module that needs no more of the owner than what QuickJS exports as well.
    fn in_place_of_owner(&self, module: u32, argument: &str) -> anyhow::Result<u32> {
        let module = self
            .modules
            .get(module as usize)
            .context("there is no such module")?;
        for import in imports(module)? {
            let (from, name) = import?;
            ensure!(
                from != argument || name == TABLE || name == MEMORY,
                "{from}.{name} is needed of what has the table"
            );
        }
        Ok(self.instance)
    }
}

/// The sections of a module or component: number and content of each.
fn sections(binary: &[u8]) -> anyhow::Result<Vec<(u8, &[u8])>> {
    let mut reader = BinaryReader::new(binary.get(HEADER_BYTES..).context("it has no header")?, 0);
    let mut found = Vec::new();
    while !reader.eof() {
        let id = reader.read_u8()?;
        let size = reader.read_var_u32()?;
        found.push((id, reader.read_bytes(size as usize)?));
    }
    Ok(found)
}

/// The section of that number in a module.
fn section(module: &[u8], id: SectionId) -> anyhow::Result<BinaryReader<'_>> {
    let found = sections(module)?
        .into_iter()
        .find(|(found, _)| *found == id as u8);
    let content = found.map_or(&[0][..], |(_, content)| content);
    Ok(BinaryReader::new(content, 0))
}

/// Module and name of everything that a module imports.
fn imports(module: &[u8]) -> anyhow::Result<impl Iterator<Item = anyhow::Result<(&str, &str)>>> {
    let imports = ImportSectionReader::new(section(module, SectionId::Import)?)?.into_imports();
    Ok(imports.map(|import| {
        let import = import?;
        Ok((import.module, import.name))
    }))
}

/// The one table of a module.
fn table_of(module: &[u8]) -> anyhow::Result<TableType> {
    let mut tables = TableSectionReader::new(section(module, SectionId::Table)?)?.into_iter();
    let table = tables.next().context("there is no table")??;
    Ok(table.ty)
}

/// What a constant of a module is that it exports by that name.
fn constant(module: &[u8], name: &str) -> anyhow::Result<i32> {
    let exports = ExportSectionReader::new(section(module, SectionId::Export)?)?;
    let mut index = None;
    for export in exports {
        let export = export?;
        if export.name == name && export.kind == ExternalKind::Global {
            index = Some(export.index as usize);
        }
    }
    let index = index.with_context(|| format!("{name} is not exported"))?;
    let mut imported = 0;
    for import in ImportSectionReader::new(section(module, SectionId::Import)?)?.into_imports() {
        imported += usize::from(matches!(import?.ty, TypeRef::Global(_)));
    }
    let mut globals = GlobalSectionReader::new(section(module, SectionId::Global)?)?.into_iter();
    let own = index.checked_sub(imported).and_then(|index| globals.nth(index));
    let global = own.with_context(|| format!("{name} is no global of its own"))??;
    match global.init_expr.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(value),
        _ => bail!("{name} is no constant"),
    }
}
