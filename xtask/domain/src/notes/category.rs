//! The categories of changes, which are the headings of release notes.

/// A category; the order is that of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    BreakingChanges,
    Features,
    Improvements,
    Fixes,
    Packaging,
    Development,
    Miscellany,
}

impl Category {
    pub const ALL: [Category; 7] = [
        Category::BreakingChanges,
        Category::Features,
        Category::Improvements,
        Category::Fixes,
        Category::Packaging,
        Category::Development,
        Category::Miscellany,
    ];

    /// Returns the name, as in front matter and in headings.
    pub fn name(self) -> &'static str {
        match self {
            Category::BreakingChanges => "Breaking Changes",
            Category::Features => "Features",
            Category::Improvements => "Improvements",
            Category::Fixes => "Fixes",
            Category::Packaging => "Packaging",
            Category::Development => "Development",
            Category::Miscellany => "Miscellany",
        }
    }
}
