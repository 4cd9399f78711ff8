//! Service's methods, on the services themselves.
//!
//! A method of a trait whose bounds are not met is "not found", and rustc does not say why. One of
//! the type's own is found, and what is missing is named: that the error cannot carry a rejection,
//! that the request cannot be sent twice, and what to write. It also spares an import.

macro_rules! inherent_service_methods {
    ($service:ident<$($parameter:ident),+>) => {
        impl<$($parameter),+> $service<$($parameter),+> {
            /// Waits until a call can be made. As `tower::ServiceExt::ready`.
            ///
            /// # Errors
            /// If the service below can take no more calls.
            pub async fn ready<Req>(
                &mut self,
            ) -> Result<&mut Self, <Self as tower_service::Service<Req>>::Error>
            where
                Self: tower_service::Service<Req>,
            {
                std::future::poll_fn(|cx| tower_service::Service::poll_ready(self, cx)).await?;
                Ok(self)
            }

            /// Makes a call, once [`ready`](Self::ready). As `tower::Service::call`.
            ///
            /// # Errors
            /// The service's, or the refusal of a layer.
            // An opaque future: a named one is looked up before the bounds are, and ends in "not found".
            pub fn call<Req>(
                &mut self,
                request: Req,
            ) -> impl Future<
                Output = Result<
                    <Self as tower_service::Service<Req>>::Response,
                    <Self as tower_service::Service<Req>>::Error,
                >,
            > + use<Req, $($parameter),+>
            where
                Self: tower_service::Service<Req>,
            {
                tower_service::Service::call(self, request)
            }

            /// Waits until a call can be made, and makes it. As `tower::ServiceExt::oneshot`.
            ///
            /// # Errors
            /// The service's, or the refusal of a layer.
            pub async fn oneshot<Req>(
                mut self,
                request: Req,
            ) -> Result<
                <Self as tower_service::Service<Req>>::Response,
                <Self as tower_service::Service<Req>>::Error,
            >
            where
                Self: tower_service::Service<Req>,
            {
                self.ready().await?;
                self.call(request).await
            }
        }
    };
}
pub(crate) use inherent_service_methods;
