module shibafu.dev/step1-spec-notes

go 1.26.6
