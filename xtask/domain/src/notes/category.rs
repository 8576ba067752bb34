//! The categories of changes, which head the parts of release notes.

/// In the order of the page.
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

    /// As in front matter and in headings.
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
