//! The store on a disk that loses power and breaks.

mod faults;
mod power_cut;
