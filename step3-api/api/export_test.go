package api

// Slice is for tests that use packages which import this one.
const Slice = slice
