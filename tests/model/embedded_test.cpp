// The models over the backends that need no server.
#include <gtest/gtest.h>

#include "model/models.hpp"

namespace setget_tests {
namespace {

using setget::QueueKind;

TEST(KeyStoreModel, memory_agrees_with_the_reference_after_every_step) { key_store_agrees(memory_backend(), 4000); }
TEST(KeyStoreModel, sqlite_agrees_with_the_reference_after_every_step) { key_store_agrees(quick_sqlite_backend(), 2000); }
TEST(KeyStoreModel, memory_log_rebuilds_the_state) { log_rebuilds_the_state(memory_backend(), 500); }
TEST(KeyStoreModel, sqlite_log_rebuilds_the_state) { log_rebuilds_the_state(quick_sqlite_backend(), 200); }
TEST(KeyStoreModel, memory_state_does_not_depend_on_the_order) { every_order_gives_the_same_state(memory_backend(), 500); }
TEST(KeyStoreModel, sqlite_state_does_not_depend_on_the_order) { every_order_gives_the_same_state(quick_sqlite_backend(), 200); }

TEST(QueueModel, memory_fifo_agrees_with_the_reference_after_every_step) { queue_agrees(memory_backend(), QueueKind::kFifo, 2500); }
TEST(QueueModel, memory_standard_agrees_with_the_reference_after_every_step) { queue_agrees(memory_backend(), QueueKind::kStandard, 1000); }
TEST(QueueModel, sqlite_fifo_agrees_with_the_reference_after_every_step) { queue_agrees(quick_sqlite_backend(), QueueKind::kFifo, 1000); }
TEST(QueueModel, sqlite_standard_agrees_with_the_reference_after_every_step) {
  queue_agrees(quick_sqlite_backend(), QueueKind::kStandard, 500);
}

TEST(WorkerModel, memory_ends_in_the_references_state_whatever_fails) { faults_do_not_show(memory_backend(), false, 400); }
TEST(WorkerModel, memory_fused_ends_in_the_references_state_whatever_fails) { faults_do_not_show(memory_backend(), true, 400); }
TEST(WorkerModel, sqlite_ends_in_the_references_state_whatever_fails) { faults_do_not_show(quick_sqlite_backend(), false, 150); }
TEST(WorkerModel, sqlite_fused_ends_in_the_references_state_whatever_fails) { faults_do_not_show(quick_sqlite_backend(), true, 150); }

}  // namespace
}  // namespace setget_tests
