#include <setget/json_schema.hpp>
#include <nlohmann/json.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
using namespace setget::json_schema; using C=std::chrono::steady_clock;
static double s(C::time_point a){return std::chrono::duration<double>(C::now()-a).count();}
struct G{Validator v; std::vector<std::string> t; std::vector<Document> d;};
template<class F> double rate(size_t n,F f){ f(); double best=0; for(int k=0;k<5;k++){auto t=C::now(); size_t c=0; while(s(t)<0.3){f();c+=n;} best=std::max(best,c/s(t));} return best;}
int main(int,char**v){ std::ifstream in(v[1]); std::string l; std::vector<G> g; size_t n=0; double comp=1e9; size_t bad=0; bool f=std::string(v[2])=="formats";
 while(std::getline(in,l)){ auto j=nlohmann::json::parse(l); Options o{.default_draft=parse_draft(j["draft"].get<std::string>()).value(),.assert_formats=f}; auto t=C::now(); auto c=Validator::compile(j["schema"].get<std::string>(),o); if(!c){bad++;continue;} 
   if(j["schema"].get<std::string>().size()>100000) for(int k=0;k<4;k++){t=C::now();c=Validator::compile(j["schema"].get<std::string>(),o);comp=std::min(comp,s(t));}
   comp=std::min(comp,s(t)); G x{*c,{},{}}; for(auto&d:j["documents"]){x.t.push_back(d);x.d.emplace_back(); x.d.back().parse(x.t.back()).value();} n+=x.t.size(); g.push_back(std::move(x)); }
 size_t sink=0; double p=rate(n,[&]{for(auto&x:g)for(auto&d:x.d)sink+=*x.v.is_valid(d);}), b=rate(n,[&]{for(auto&x:g)for(auto&d:x.t)sink+=*x.v.is_valid(d);});
 std::vector<std::pair<G*,Document*>> inv; for(auto&x:g)for(auto&d:x.d) if(!*x.v.is_valid(d)) inv.emplace_back(&x,&d);
 double e=inv.empty()?0:rate(inv.size(),[&]{for(auto&[x,d]:inv) sink+=x->v.validate(*d)->violations.size();});
 printf("{\"peer\":\"setget\",\"documents\":%zu,\"invalid\":%zu,\"refused\":%zu,\"compile_ms\":%.3f,\"parsed\":%.0f,\"bytes\":%.0f,\"errors\":%.0f} %zu\n",n,inv.size(),bad,comp*1e3,p,b,e,sink%2); }
