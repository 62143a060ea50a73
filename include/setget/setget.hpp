// Umbrella: the pipeline and everything it is made of. Backends have headers of their own: memory.hpp, sqlite.hpp.
#pragma once

#include <setget/archive.hpp>
#include <setget/archive_health.hpp>
#include <setget/archiver.hpp>
#include <setget/clock.hpp>
#include <setget/cron.hpp>
#include <setget/error.hpp>
#include <setget/ingress.hpp>
#include <setget/jmespath.hpp>
#include <setget/key_store.hpp>
#include <setget/mapping.hpp>
#include <setget/model.hpp>
#include <setget/observe.hpp>
#include <setget/payload.hpp>
#include <setget/payload_schema.hpp>
#include <setget/pipeline.hpp>
#include <setget/queue.hpp>
#include <setget/reader.hpp>
#include <setget/record.hpp>
#include <setget/scheduler.hpp>
#include <setget/ttl.hpp>
#include <setget/validator.hpp>
#include <setget/worker.hpp>
