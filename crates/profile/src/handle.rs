//! Typed indices into the tables of one [`crate::Tables`].

/// A typed index.
pub trait Handle: Copy + Eq {
    /// From a position in the table.
    fn from_index(index: usize) -> Self;
    /// The position in the table.
    fn index(self) -> usize;
}

macro_rules! handle {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl Handle for $name {
            #[inline]
            fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).expect("a table holds fewer than 2^32 rows"))
            }
            #[inline]
            fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}

handle! {
    /// A string; 0 is the empty string.
    StringId,
    /// A function.
    FunctionId,
    /// A mapped binary.
    MappingId,
    /// A location (address or line).
    LocationId,
    /// A node of the stack prefix tree; 0 is the root, the empty stack.
    StackId,
    /// A thread.
    ThreadId,
    /// A link to a span.
    LinkId,
    /// A set of sample attributes.
    AttributesId,
    /// A sample kind of one profile.
    KindIndex,
}
