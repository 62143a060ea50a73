# Runs the demo on its sample upload with a new store and looks for what it must have read back.
file(REMOVE "${FOLDER}/demo.db" "${FOLDER}/demo.db-wal" "${FOLDER}/demo.db-shm" "${FOLDER}/demo.db-lock")
execute_process(COMMAND "${DEMO}" "${UPLOAD}" "${FOLDER}/demo.db" OUTPUT_VARIABLE out RESULT_VARIABLE code)
foreach(wanted "sku/A-100 .*Desk lamp, brass.*\"price_cents\":3990" "sku/A-101 .*\"price_cents\":450" "sku/B-7 .*\"currency\":\"USD\""
               "items 4  accepted 4  refused 0")
  if(NOT out MATCHES "${wanted}")
    message(FATAL_ERROR "no \"${wanted}\" in:\n${out}")
  endif()
endforeach()
if(NOT code EQUAL 0)
  message(FATAL_ERROR "exit ${code}")
endif()
