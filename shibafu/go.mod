module shibafu.dev/shibafu

go 1.26.6

require (
	shibafu.dev/step1-spec-notes v0.0.0
	shibafu.dev/step2-cas v0.0.0
	shibafu.dev/step3-api v0.0.0
	shibafu.dev/step4-upload v0.0.0
	shibafu.dev/step5-manifest v0.0.0
	shibafu.dev/step6-client v0.0.0
	shibafu.dev/step7-security v0.0.0
)

replace (
	shibafu.dev/step1-spec-notes => ../step1-spec-notes
	shibafu.dev/step2-cas => ../step2-cas
	shibafu.dev/step3-api => ../step3-api
	shibafu.dev/step4-upload => ../step4-upload
	shibafu.dev/step5-manifest => ../step5-manifest
	shibafu.dev/step6-client => ../step6-client
	shibafu.dev/step7-security => ../step7-security
)
