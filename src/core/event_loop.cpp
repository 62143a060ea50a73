#include <utility>

#include <setget/event_loop.hpp>

namespace setget::inline v0 {
namespace {

std::shared_ptr<EventLoop>& of_this_thread() noexcept {
  thread_local std::shared_ptr<EventLoop> loop;
  return loop;
}

}  // namespace

EventLoop::~EventLoop() = default;

const std::shared_ptr<EventLoop>& EventLoop::current() noexcept { return of_this_thread(); }

EventLoop::Scope::Scope(std::shared_ptr<EventLoop> loop) noexcept : outer_(std::exchange(of_this_thread(), std::move(loop))) {}
EventLoop::Scope::~Scope() { of_this_thread() = std::move(outer_); }

}  // namespace setget::inline v0
