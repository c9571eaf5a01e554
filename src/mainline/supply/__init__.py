"""What a release is made of and how it came to be: SBOM and provenance. Pure, without a clock."""
