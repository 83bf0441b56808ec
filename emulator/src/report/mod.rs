//! What clients did with IMDS, as a picture.

pub mod picture;
