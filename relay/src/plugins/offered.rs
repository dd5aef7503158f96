//! The plugins that are the operator's to offer: those in the folder, and those in the binary.

use super::BindError;
use super::manifest::Inspection;
use crate::model::plugin::Version;

/// Where a plugin of the operator's is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the binary.
    Stock,
    /// A file of the plugin folder.
    Folder,
}

/// One of them, as it is now.
#[derive(Debug)]
pub struct Offered {
    pub name: String,
    pub from: Place,
    /// `None`: it cannot be read.
    pub version: Option<Version>,
    /// What it says about itself, or why it cannot be used.
    pub inspection: Result<Inspection, BindError>,
}
