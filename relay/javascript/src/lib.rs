//! Makes plugins of JavaScript and TypeScript.
//!
//! A component is made in four steps. The source is read ([`source`]): which modules there are, which
//! hooks the first of them exports and which powers they name; types are taken out ([`types`]). Out of
//! hooks and powers follows the interface ([`world`]), and QuickJS is linked with it ([`link`]). That is
//! started once, evaluates the modules, and its memory as it is then becomes the component
//! ([`snapshot`]): a call finds everything loaded. What is left to do for each instance is made little of
//! ([`table`]).

mod link;
mod modules;
mod sdk;
mod snapshot;
mod source;
mod table;
mod types;
mod world;

use std::path::Path;

/// What is wrong with a plugin's source, or with what was made of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something in the author's hands.
    #[error("{at}: {message}")]
    Source {
        /// File, line and column.
        at: Place,
        /// What is wrong and what to do.
        message: String,
    },
    /// The modules could not be evaluated.
    #[error("{0}")]
    Evaluation(String),
    /// A file cannot be read.
    #[error("{file} cannot be read: {error}")]
    File {
        /// Its name within the project.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// Something in ours.
    #[error("the component cannot be made: {0:#}")]
    Tool(#[from] anyhow::Error),
}

/// Where something is in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name within the project.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Builds the component of the plugin in a folder, whose first module is `entry`, such as
/// `src/plugin.js`.
///
/// # Errors
/// Says what is wrong with the source, and where.
pub fn build(folder: &Path, entry: &str) -> Result<Vec<u8>, Error> {
    let modules = modules::Modules::read(folder, entry)?;
    let world = world::World::of(&modules)?;
    let linked = link::link(&world)?;
    let evaluated = snapshot::evaluate(&linked, modules)?;
    Ok(table::moved(&evaluated)?)
}
