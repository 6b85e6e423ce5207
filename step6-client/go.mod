module shibafu.dev/step6-client

go 1.26.6

require shibafu.dev/step1-spec-notes v0.0.0

replace shibafu.dev/step1-spec-notes => ../step1-spec-notes
