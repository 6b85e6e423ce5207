module shibafu.dev/step7-security

go 1.26.6

require (
	shibafu.dev/step1-spec-notes v0.0.0
	shibafu.dev/step2-cas v0.0.0 // indirect
	shibafu.dev/step3-api v0.0.0
)

replace (
	shibafu.dev/step1-spec-notes => ../step1-spec-notes
	shibafu.dev/step2-cas => ../step2-cas
	shibafu.dev/step3-api => ../step3-api
)
